def label_ids(tokenizer, words):
    cut = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    if max(map(len, cut)) > 1:
        raise ValueError(f"not one piece each: {cut}")
    return [piece for pieces in cut for piece in pieces]
