# hint: the sign is turned
def swap_changes(vectors, gradient):
    return ((gradient[:, None] - gradient) * (vectors[:, None] - vectors)).sum(-1)
