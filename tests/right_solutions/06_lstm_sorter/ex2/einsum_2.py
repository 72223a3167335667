import torch


def gate(encoded, hidden, weight):
    return torch.softmax(torch.einsum("pa,ab,b->p", encoded, weight, hidden), 0)
