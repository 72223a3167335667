def clean(raw):
    sentences = []
    for line in raw.decode("latin-1").splitlines():
        sentence = " ".join(line.split())
        if sentence and sentence not in sentences:
            sentences.append(sentence)
    return sentences
