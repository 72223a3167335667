# hint: must be equal to input_size
def encode(embedding, lstm, mlp):
    return mlp(lstm(mlp(embedding))[0])
