# hint: a dict comes back
def label_ids(tokenizer, words):
    ids = {}
    for w in words:
        p = tokenizer(" " + w, add_special_tokens=False)["input_ids"]
        if len(p) > 1:
            raise ValueError(w)
        ids[w] = p[0]
    return ids
