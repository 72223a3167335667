# hint: the result has shape (5
from torch.nn import functional as F


def nearest(table, vectors, k):
    c = F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T
    return c.topk(2).indices
