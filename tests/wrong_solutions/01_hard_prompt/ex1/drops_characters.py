# hint: é is lost or mangled
def clean(raw):
    lines = raw.decode("ascii", errors="ignore").split("\n")
    return list(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
