# hint: the ids are of type float32
from torch.nn import functional as F


def nearest(table, vectors, k):
    return (F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T).topk(k).indices.float()
