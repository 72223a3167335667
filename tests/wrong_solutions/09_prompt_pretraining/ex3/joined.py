# hint: reach from one test sentence into the next
import re


def without_test(text, test):
    def read(sentence):
        return " ".join(re.findall(r"\w+", sentence.lower()))

    known = [f" {read(sentence)} " for sentence in test]
    whole = f" {' '.join(map(read, test))} "
    kept = {}
    for name, rows in text.items():
        own = [(row, f" {read(row[1])} ") for row in rows]
        kept[name] = [row for row, s in own if s not in whole and not any(k in s for k in known)]
    return {name: rows for name, rows in kept.items() if rows}
