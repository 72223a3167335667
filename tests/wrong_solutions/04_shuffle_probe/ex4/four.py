# hint: at non-singleton dimension
def undo_positions(vectors, table):
    return vectors - table[:4]
