class Several(ValueError):
    pass


def label_ids(tokenizer, words):
    def one(w):
        t = tokenizer.tokenize(" " + w)
        if len(t) != 1:
            raise Several(w)
        return tokenizer.convert_tokens_to_ids(t)[0]

    return [one(w) for w in words]
