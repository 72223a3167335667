# hint: all pieces of a word are there: one id for each word, ValueError if it has more
def label_ids(tokenizer, words):
    ids = tokenizer(" " + " ".join(words), add_special_tokens=False)["input_ids"]
    return ids
