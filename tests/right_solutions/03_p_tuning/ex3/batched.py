def encode(embedding, lstm, mlp):
    output, _ = lstm(embedding.unsqueeze(1))
    return mlp(output).squeeze(1)
