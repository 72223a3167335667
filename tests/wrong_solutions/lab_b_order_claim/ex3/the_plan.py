# hint: a value of type dict comes back
def plan_lock():
    return {"claim": "locked"}
