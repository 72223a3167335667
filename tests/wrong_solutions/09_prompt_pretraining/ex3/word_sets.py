# hint: the order of the words is lost
import re


def without_test(text, test):
    def read(sentence):
        return set(re.findall(r"\w+", sentence.lower()))

    known = [read(sentence) for sentence in test]
    kept = {
        name: [(at, s) for at, s in rows if not any(read(s) <= k or k <= read(s) for k in known)]
        for name, rows in text.items()
    }
    return {name: rows for name, rows in kept.items() if rows}
