# hint: nothing comes back (None)
def label_ids(tokenizer, words):
    for w in words:
        p = tokenizer(" " + w, add_special_tokens=False)["input_ids"]
        if len(p) > 1:
            raise ValueError(w)
