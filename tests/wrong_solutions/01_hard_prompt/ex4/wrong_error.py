# hint: ends in AssertionError
def label_ids(tokenizer, words):
    ids = [tokenizer(" " + w, add_special_tokens=False)["input_ids"] for w in words]
    assert all(len(i) == 1 for i in ids)
    return [i[0] for i in ids]
