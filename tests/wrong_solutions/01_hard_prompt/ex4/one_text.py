# hint: ids for 4 words
def label_ids(tokenizer, words):
    return tokenizer(" " + words[0], add_special_tokens=False)["input_ids"]
