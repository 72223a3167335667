# hint: the bytes are not UTF-8
def clean(raw):
    lines = raw.decode().split("\n")
    return list(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
