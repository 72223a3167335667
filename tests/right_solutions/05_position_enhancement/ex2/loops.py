def relative_scores(queries, table):
    P = len(queries)
    return [[float(queries[i] @ table[j - i + P - 1]) for j in range(P)] for i in range(P)]
