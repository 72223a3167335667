from torch.nn import functional as F


def overlap(a, b):
    return F.cosine_similarity(a.float(), b.float(), dim=0).item()
