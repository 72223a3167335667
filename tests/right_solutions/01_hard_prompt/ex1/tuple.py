def clean(raw):
    out = []
    for l in raw.split(b"\n"):
        s = " ".join(l.decode("latin-1").split())
        if s and s not in out:
            out.append(s)
    return tuple(out)
