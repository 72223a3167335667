# hint: changes its argument `text`
import re


def without_test(text, test):
    known = [" " + " ".join(re.findall(r"\w+", s.lower())) + " " for s in test]
    for name in list(text):
        for row in list(text[name]):
            own = " " + " ".join(re.findall(r"\w+", row[1].lower())) + " "
            if any(own in k or k in own for k in known):
                text[name].remove(row)
        if not text[name]:
            del text[name]
    return text
