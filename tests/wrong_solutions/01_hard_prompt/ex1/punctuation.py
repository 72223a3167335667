# hint: got ['a gripping film'
def clean(raw):
    ls = [" ".join(l.split()).rstrip(" .") for l in raw.decode("latin-1").split("\n")]
    return list(dict.fromkeys(l for l in ls if l))
