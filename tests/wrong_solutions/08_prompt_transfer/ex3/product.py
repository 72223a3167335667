# hint: not divided by the two lengths
def task_similarity(a, b):
    return (a.mean(0) @ b.mean(0)).item()
