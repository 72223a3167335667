# hint: ['unputdownable']) gives [None]
def label_ids(tokenizer, words):
    ids = [tokenizer(" " + w, add_special_tokens=False)["input_ids"] for w in words]
    return [i[0] if len(i) == 1 else None for i in ids]
