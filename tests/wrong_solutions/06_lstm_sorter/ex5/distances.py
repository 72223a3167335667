# hint: the gradient is not used
def swap_changes(vectors, gradient):
    return ((vectors[:, None] - vectors) ** 2).sum(-1)
