def label_ids(tokenizer, words):
    ids = []
    for w in words:
        (i,) = tokenizer(" " + w, add_special_tokens=False).input_ids
        ids.append(i)
    return ids
