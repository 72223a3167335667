# hint: the value with the highest score alone is taken: mix them
def head(queries, keys, values, relative):
    return values[(queries @ keys.T + relative).argmax(-1)]
