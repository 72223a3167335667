def undo_positions(vectors, table):
    out = vectors.clone()
    out -= table[: len(out)]
    return out
