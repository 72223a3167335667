from torch.nn import functional as F


def overlap(a, b):
    return F.cosine_similarity(a.double(), b.double(), dim=0)
