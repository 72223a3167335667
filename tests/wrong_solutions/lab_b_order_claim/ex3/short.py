# hint: 'eec0ad86' is no lock
def plan_lock():
    return "eec0ad86"
