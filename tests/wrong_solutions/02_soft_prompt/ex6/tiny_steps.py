# hint: hardly anything is learnt


def keep_nearest(rows, ids, table):
    return table[ids] + 1e-3 * (rows - table[ids])
