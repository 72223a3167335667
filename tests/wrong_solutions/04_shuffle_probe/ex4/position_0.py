# hint: position 0 was subtracted from every row
def undo_positions(vectors, table):
    return vectors - table[0]
