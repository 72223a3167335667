# hint: head changes its argument `relative`: work on a copy, the caller needs it as it was
def head(queries, keys, values, relative):
    relative += queries @ keys.T
    return relative.softmax(-1) @ values
