# hint: another code page of the ISO
def clean(raw):
    lines = [" ".join(line.split()) for line in raw.decode("iso-8859-15").split("\n")]
    return list(dict.fromkeys(line for line in lines if line))
