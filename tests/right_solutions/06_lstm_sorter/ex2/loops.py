import torch


def gate(encoded, hidden, weight):
    q = weight.mv(hidden)
    s = torch.stack([torch.dot(e, q) for e in encoded])
    return (s - s.logsumexp(0)).exp()
