# hint: only the first word is looked at: any of them may be several pieces
def label_ids(tokenizer, words):
    if len(tokenizer(" " + words[0], add_special_tokens=False)["input_ids"]) > 1:
        raise ValueError
    return [tokenizer(" " + w, add_special_tokens=False)["input_ids"][0] for w in words]
