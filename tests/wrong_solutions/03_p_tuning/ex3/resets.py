# hint: encode changes its argument `mlp`: work on a copy, the caller needs it as it was
def encode(embedding, lstm, mlp):
    for m in mlp:
        if hasattr(m, "reset_parameters"):
            m.reset_parameters()
    return mlp(lstm(embedding)[0])
