# hint: keep the order of the file
def clean(raw):
    lines = raw.decode("latin-1").split("\n")
    return sorted({" ".join(line.split()) for line in lines if line.strip()}, reverse=True)
