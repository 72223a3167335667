# hint: no such factor
def head(queries, keys, values, relative):
    scores = (queries @ keys.T + relative) / queries.shape[-1] ** 0.5
    return scores.softmax(-1) @ values
