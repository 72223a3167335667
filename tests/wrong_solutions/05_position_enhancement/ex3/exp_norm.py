# hint: the softmax's sum runs over all pairs: each place shares out its own attention, so divide
def head(queries, keys, values, relative):
    w = (queries @ keys.T + relative).exp()
    return (w / w.sum()) @ values
