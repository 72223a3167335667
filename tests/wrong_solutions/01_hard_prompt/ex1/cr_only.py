# hint: got ['ÿ b é ÿ'
def clean(raw):
    return list(
        dict.fromkeys(" ".join(l.split()) for l in raw.decode("latin-1").split("\r\n") if l.strip())
    )
