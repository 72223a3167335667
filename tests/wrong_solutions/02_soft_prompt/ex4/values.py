# hint: these are the cosines
import torch


def nearest(table, vectors, k):
    cosines = torch.cosine_similarity(vectors[:, None], table[None], dim=-1)
    return cosines.topk(k).values
