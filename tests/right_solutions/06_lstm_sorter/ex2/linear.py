from torch.nn import functional as F


def gate(encoded, hidden, weight):
    return F.softmax(F.linear(hidden, weight) @ encoded.T, dim=-1).tolist()
