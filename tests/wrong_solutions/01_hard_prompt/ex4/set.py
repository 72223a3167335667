# hint: expected [13321
def label_ids(tokenizer, words):
    ids = []
    for w in sorted(set(words)):
        p = tokenizer(" " + w, add_special_tokens=False)["input_ids"]
        if len(p) > 1:
            raise ValueError(w)
        ids.append(p[0])
    return ids
