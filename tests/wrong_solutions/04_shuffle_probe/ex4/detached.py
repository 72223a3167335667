# hint: no gradient reaches `vectors`
def undo_positions(vectors, table):
    return vectors.detach() - table[: len(vectors)]
