# hint: the nearest should come first
import torch


def nearest(table, vectors, k):
    cosines = torch.cosine_similarity(vectors[:, None], table[None], dim=-1)
    return cosines.argsort(dim=-1)[:, -k:]
