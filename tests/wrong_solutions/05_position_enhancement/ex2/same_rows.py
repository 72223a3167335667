# hint: the same P rows
def relative_scores(queries, table):
    return queries @ table[len(queries) - 1 :].T
