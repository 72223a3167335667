import re


def clean(raw):
    t = re.sub(r"[ \t\r]+", " ", str(raw, "iso-8859-1"))
    return list(dict.fromkeys(filter(None, map(str.strip, t.split("\n")))))
