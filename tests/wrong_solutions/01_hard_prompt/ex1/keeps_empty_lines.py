# hint: an empty line became an empty sentence
def clean(raw):
    lines = raw.decode("latin-1").split("\n")
    return list(dict.fromkeys(" ".join(line.split()) for line in lines))
