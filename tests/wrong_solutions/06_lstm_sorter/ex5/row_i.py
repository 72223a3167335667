# hint: only row i is followed
def swap_changes(vectors, gradient):
    return (gradient[:, None] * (vectors - vectors[:, None])).sum(-1)
