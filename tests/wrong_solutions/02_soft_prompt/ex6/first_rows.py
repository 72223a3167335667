# hint: these are other words


def keep_nearest(rows, ids, table):
    return table[: len(ids)].clone()
