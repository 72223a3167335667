# hint: a sentence is missing
def clean(raw):
    ls = [" ".join(l.split()) for l in raw.decode("latin-1").split("\n")]
    return list(dict.fromkeys(l for l in ls if len(l) > 3))
