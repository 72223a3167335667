# hint: nothing comes back (None)
def plan_lock():
    "eec0ad8624f6c0b7"
