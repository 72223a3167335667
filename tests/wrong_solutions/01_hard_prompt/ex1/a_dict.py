# hint: a dict comes back
def clean(raw):
    return dict.fromkeys(
        " ".join(l.split()) for l in raw.decode("latin-1").split("\n") if l.strip()
    )
