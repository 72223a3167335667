# hint: nothing comes back (None)
def undo_positions(vectors, table):
    vectors - table[: len(vectors)]
