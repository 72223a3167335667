# hint: '' is no lock
def plan_lock():
    return ""
