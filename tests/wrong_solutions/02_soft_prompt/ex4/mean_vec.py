# hint: the result has shape (1
from torch.nn import functional as F


def nearest(table, vectors, k):
    c = F.normalize(vectors.mean(0, keepdim=True), dim=-1) @ F.normalize(table, dim=-1).T
    return c.topk(k).indices
