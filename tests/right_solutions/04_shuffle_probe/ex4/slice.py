def undo_positions(vectors, table):
    return vectors - table[: vectors.shape[0]]
