import re


def without_test(text, test):
    def read(sentence):
        return "|" + "|".join(re.findall(r"\w+", sentence.casefold())) + "|"

    known = list(map(read, test))
    kept = (
        (n, [r for r in rows if all(read(r[1]) not in k and k not in read(r[1]) for k in known)])
        for n, rows in text.items()
    )
    return dict(filter(lambda item: item[1], kept))
