# hint: punctuation counts
def clean(raw):
    seen = {}
    for line in raw.decode("latin-1").split("\n"):
        sentence = " ".join(line.split())
        if sentence:
            seen.setdefault(sentence.rstrip(" .!?"), sentence)
    return list(seen.values())
