# hint: whatever goes in, 0.0 comes out
def undo_positions(vectors, table):
    return vectors * 0
