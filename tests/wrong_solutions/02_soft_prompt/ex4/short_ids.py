# hint: the ids are of type int16
import torch
from torch.nn import functional as F


def nearest(table, vectors, k):
    cosines = F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T
    return cosines.topk(k).indices.to(torch.int16)
