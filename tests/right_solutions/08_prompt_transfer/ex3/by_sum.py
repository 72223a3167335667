def task_similarity(a, b):
    one, other = a.sum(0), b.sum(0)
    return float((one / one.norm()).dot(other / other.norm()))
