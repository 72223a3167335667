# hint: each pair counts half
def swap_changes(vectors, gradient):
    return ((gradient[:, None] - gradient) * (vectors - vectors[:, None])).sum(-1) / 2
