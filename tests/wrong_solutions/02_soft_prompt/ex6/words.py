# hint: every row is put back on its word


def keep_nearest(rows, ids, table):
    return table[ids].clone()
