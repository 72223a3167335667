# hint: the size of the cosine without its sign was taken: −1 is the opposite direction
from torch.nn import functional as F


def nearest(table, vectors, k):
    return (F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T).abs().topk(k).indices
