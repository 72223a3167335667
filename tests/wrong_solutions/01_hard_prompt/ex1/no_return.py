# hint: nothing comes back (None)
def clean(raw):
    lines = raw.decode("latin-1").split("\n")
    list(dict.fromkeys(" ".join(l.split()) for l in lines if l.strip()))
