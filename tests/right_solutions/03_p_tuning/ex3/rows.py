import torch


def encode(embedding, lstm, mlp):
    h = lstm(embedding)[0]
    return torch.stack([mlp(r) for r in h])
