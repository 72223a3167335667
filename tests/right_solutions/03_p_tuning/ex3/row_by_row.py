import torch


def encode(embedding, lstm, mlp):
    hidden = lstm(embedding)[0]
    return torch.stack([mlp(row) for row in hidden])
