# hint: the signs are lost
def swap_changes(vectors, gradient):
    return ((gradient[:, None] - gradient) * (vectors - vectors[:, None])).sum(-1).abs()
