# hint: nothing comes back (None)
def head(queries, keys, values, relative):
    x = (queries @ keys.T + relative).softmax(-1) @ values
    print(x)
