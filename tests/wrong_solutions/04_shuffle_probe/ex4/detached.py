# hint: no gradient reaches the prompt
def undo_positions(vectors, table):
    return vectors.detach() - table[: len(vectors)]
