# hint: no gradient reaches the embedding
def encode(embedding, lstm, mlp):
    return mlp(lstm(embedding.detach())[0])
