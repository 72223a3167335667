# hint: the plan was changed after it was locked
def plan_lock():
    return "ea96f1dac0ce9c40"
