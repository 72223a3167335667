# hint: item 8 is 'so ok is'
def clean(raw):
    ls = [" ".join(l.replace('"', "").split()) for l in raw.decode("latin-1").split("\n")]
    return list(dict.fromkeys(l for l in ls if l))
