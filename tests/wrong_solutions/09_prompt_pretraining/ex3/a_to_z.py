# hint: runs of a–z
import re


def without_test(text, test):
    def read(sentence):
        return " " + " ".join(re.findall("[a-z]+", sentence.lower())) + " "

    known = [read(sentence) for sentence in test]
    kept = {}
    for name, rows in text.items():
        left = [(at, s) for at, s in rows if not any(read(s) in k or k in read(s) for k in known)]
        if left:
            kept[name] = left
    return kept
