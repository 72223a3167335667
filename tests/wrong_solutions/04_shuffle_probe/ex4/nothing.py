# hint: still depends on the order
def undo_positions(vectors, table):
    return vectors + 0.0
