def encode(embedding, lstm, mlp):
    h, _ = lstm(embedding.unsqueeze(1))
    return mlp(h.squeeze(1))
