# hint: come back as they went in


def keep_nearest(rows, ids, table):
    return rows
