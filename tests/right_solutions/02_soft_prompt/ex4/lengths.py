import torch


def nearest(table, vectors, k):
    products = vectors @ table.T
    cosines = products / vectors.norm(dim=1)[:, None] / table.norm(dim=1)
    return torch.topk(cosines, k, dim=1).indices
