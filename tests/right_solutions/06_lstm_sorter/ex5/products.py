def swap_changes(vectors, gradient):
    products = gradient @ vectors.T
    own = products.diagonal()
    return products + products.T - own[:, None] - own
