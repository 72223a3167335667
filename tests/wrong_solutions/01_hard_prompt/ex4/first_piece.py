# hint: its first one is another word
def label_ids(tokenizer, words):
    return [tokenizer(" " + word, add_special_tokens=False)["input_ids"][0] for word in words]
