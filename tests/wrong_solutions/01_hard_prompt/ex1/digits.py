# hint: digits are lost
import re


def clean(raw):
    lines = re.sub("[0-9]", "", raw.decode("latin-1")).split("\n")
    return list(dict.fromkeys(" ".join(l.split()) for l in lines if l.strip()))
