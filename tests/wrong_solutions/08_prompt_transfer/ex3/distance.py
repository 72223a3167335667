# hint: looks at the direction only
def task_similarity(a, b):
    return 1 / (1 + (a.mean(0) - b.mean(0)).norm().item())
