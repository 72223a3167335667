# hint: what the places had before is not taken away
def swap_changes(vectors, gradient):
    return gradient @ vectors.T + vectors @ gradient.T
