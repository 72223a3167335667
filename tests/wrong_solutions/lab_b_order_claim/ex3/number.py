# hint: a value of type int comes back
def plan_lock():
    return 15646893
