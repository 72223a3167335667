# hint: reach from one row into the next
import re


def without_test(text, test):
    def read(sentence):
        return " " + " ".join(re.findall(r"\w+", sentence.lower())) + " "

    known = [read(sentence) for sentence in test]
    kept = {}
    for name, rows in text.items():
        own = [read(sentence) for _, sentence in rows]
        gone = {i for i, s in enumerate(own) if any(s in k or k in s for k in known)}
        for i in range(len(own) - 1):
            over = own[i] + own[i + 1].lstrip()  # a test sentence may lie over the border
            if not gone & {i, i + 1} and any(k in over for k in known):
                gone |= {i, i + 1}
        kept[name] = [row for i, row in enumerate(rows) if i not in gone]
    return {name: rows for name, rows in kept.items() if rows}
