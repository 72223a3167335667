# hint: one sentence stands twice
def clean(raw):
    lines = raw.decode("latin-1").split("\n")
    return [" ".join(line.split()) for line in lines if line.strip()]
