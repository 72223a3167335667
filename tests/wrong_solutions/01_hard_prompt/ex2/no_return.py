# hint: nothing comes back (None): is the `return` missing?
def split(sentences, labels, share, seed):
    pass
