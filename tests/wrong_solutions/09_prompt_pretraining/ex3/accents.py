# hint: accents count
import re
import unicodedata


def without_test(text, test):
    def read(sentence):
        letters = unicodedata.normalize("NFKD", sentence.lower())
        plain = "".join(c for c in letters if not unicodedata.combining(c))
        return " " + " ".join(re.findall(r"\w+", plain)) + " "

    known = [read(sentence) for sentence in test]
    kept = {}
    for name, rows in text.items():
        own = [(row, read(row[1])) for row in rows]
        kept[name] = [row for row, s in own if not any(s in k or k in s for k in known)]
    return {name: rows for name, rows in kept.items() if rows}
