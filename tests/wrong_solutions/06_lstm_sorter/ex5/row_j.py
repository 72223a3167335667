# hint: only row j is followed
def swap_changes(vectors, gradient):
    return (gradient * (vectors[:, None] - vectors)).sum(-1)
