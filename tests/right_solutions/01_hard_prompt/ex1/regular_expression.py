import re


def clean(raw):
    lines = re.split("[\r\n]+", str(raw, encoding="iso-8859-1"))
    tidy = (re.sub(r"\s+", " ", line).strip() for line in lines)
    return list({line: None for line in tidy if line})
