# hint: the products of the width are not summed
def swap_changes(vectors, gradient):
    return (gradient[:, None] - gradient) * (vectors - vectors[:, None])
