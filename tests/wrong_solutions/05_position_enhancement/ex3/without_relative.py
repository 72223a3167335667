# hint: add them to
def head(queries, keys, values, relative):
    return (queries @ keys.T).softmax(-1) @ values
