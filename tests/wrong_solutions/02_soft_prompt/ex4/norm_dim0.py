# hint: the columns were normalised, not the rows: each vector has one length
from torch.nn import functional as F


def nearest(table, vectors, k):
    return (F.normalize(vectors, dim=0) @ F.normalize(table, dim=0).T).topk(k).indices
