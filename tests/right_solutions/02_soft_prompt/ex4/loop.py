import torch
from torch.nn import functional as F


def nearest(table, vectors, k):
    return torch.stack([F.cosine_similarity(v[None], table).topk(k)[1] for v in vectors])
