import torch


def nearest(table, vectors, k):
    cosines = torch.cosine_similarity(vectors[:, None], table[None], dim=-1)
    return cosines.argsort(dim=-1, descending=True)[:, :k]
