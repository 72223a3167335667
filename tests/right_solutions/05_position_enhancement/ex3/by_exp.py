def head(queries, keys, values, relative):
    scores = queries @ keys.T + relative
    weights = (scores - scores.max(1, keepdim=True).values).exp()
    return (weights / weights.sum(1, keepdim=True)) @ values
