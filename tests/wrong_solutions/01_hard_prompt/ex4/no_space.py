# hint: each of which is one piece behind a space
def label_ids(tokenizer, words):
    cut = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    if any(len(pieces) > 1 for pieces in cut):
        raise ValueError("several pieces")
    return [pieces[0] for pieces in cut]
