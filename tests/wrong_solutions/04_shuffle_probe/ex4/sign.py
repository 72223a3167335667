# hint: the sign is wrong
def undo_positions(vectors, table):
    return vectors + table[: len(vectors)]
