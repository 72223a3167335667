# hint: the two gradients are added
def swap_changes(vectors, gradient):
    return ((gradient[:, None] + gradient) * (vectors - vectors[:, None])).sum(-1)
