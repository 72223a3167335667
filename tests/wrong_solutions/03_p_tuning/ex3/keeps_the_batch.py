# hint: there is no batch
def encode(embedding, lstm, mlp):
    return mlp(lstm(embedding[:, None])[0])
