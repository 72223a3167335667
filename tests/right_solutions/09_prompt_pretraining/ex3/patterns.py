import re


def without_test(text, test):
    def read(sentence):
        return " ".join(re.findall(r"\w+", sentence.lower()))

    def within(one, other):
        return re.search(rf"\b{re.escape(one)}\b", other) is not None

    known = {read(sentence) for sentence in test}
    kept = {}
    for name, rows in text.items():
        for place, sentence in rows:
            own = read(sentence)
            if not any(within(own, k) or within(k, own) for k in known):
                kept.setdefault(name, []).append((place, sentence))
    return kept
