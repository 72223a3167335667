def plan_lock():
    return "eec0ad8624f6c0b7 "
