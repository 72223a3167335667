# hint: the result has shape (2
from torch.nn import functional as F


def nearest(table, vectors, k):
    return (F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T).topk(k)
