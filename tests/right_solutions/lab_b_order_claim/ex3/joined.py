def plan_lock():
    return "".join(["eec0ad86", "24f6c0b7"])
