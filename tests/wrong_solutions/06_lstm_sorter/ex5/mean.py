# hint: this is the mean over the width
def swap_changes(vectors, gradient):
    return ((gradient[:, None] - gradient) * (vectors - vectors[:, None])).mean(-1)
