def label_ids(tokenizer, words):
    ids = []
    for word in words:
        (only,) = tokenizer.encode(" " + word, add_special_tokens=False)
        ids.append(only)
    return ids
