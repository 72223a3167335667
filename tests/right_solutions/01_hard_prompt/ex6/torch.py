import torch


def accuracy(predictions, targets):
    n, z = len(targets), 1.96
    p = (torch.tensor(predictions) == torch.tensor(targets)).double().mean()
    m, h = p + z * z / 2 / n, z * (p * (1 - p) / n + z * z / 4 / n / n).sqrt()
    return p, (m - h) / (1 + z * z / n), (m + h) / (1 + z * z / n)
