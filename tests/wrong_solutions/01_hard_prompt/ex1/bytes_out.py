# hint: a bytes comes back
def clean(raw):
    return list(dict.fromkeys(b" ".join(l.split()) for l in raw.split(b"\n") if l.strip()))
