# hint: hardly anything is learnt


def keep_nearest(rows, ids, table):
    return table[ids].clone()
