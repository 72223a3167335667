# hint:  \n\tFilm   dull fun\t
seen = set()


def clean(raw):
    out = []
    for l in raw.decode("latin-1").split("\n"):
        l = " ".join(l.split())
        if l and l not in seen:
            seen.add(l)
            out.append(l)
    return out
