# hint: two pieces are several, too
def label_ids(tokenizer, words):
    ids = []
    for word in words:
        first, *rest = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
        if len(rest) > 1:
            raise ValueError(word)
        ids.append(first)
    return ids
