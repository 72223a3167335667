# hint: only i < j is filled in
def swap_changes(vectors, gradient):
    return ((gradient[:, None] - gradient) * (vectors - vectors[:, None])).sum(-1).triu()
