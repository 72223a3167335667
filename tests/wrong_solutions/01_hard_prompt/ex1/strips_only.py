# hint: doubled inside
def clean(raw):
    lines = raw.decode("latin-1").split("\n")
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
