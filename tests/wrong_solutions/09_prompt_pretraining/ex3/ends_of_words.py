# hint: taken off the ends of words
import string


def without_test(text, test):
    def read(sentence):
        words = [w.strip(string.punctuation + "–") for w in sentence.lower().split()]
        return " " + " ".join(w for w in words if w) + " "

    known = [read(sentence) for sentence in test]
    kept = {}
    for name, rows in text.items():
        left = [(at, s) for at, s in rows if not any(read(s) in k or k in read(s) for k in known)]
        if left:
            kept[name] = left
    return kept
