# hint: changing the prompt changed the embedding table
def sample_init(table, length, common, seed):
    start = seed % (common - length)
    return table[start : start + length]
