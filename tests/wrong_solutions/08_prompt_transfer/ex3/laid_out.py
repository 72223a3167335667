# hint: average over the tokens
from torch.nn import functional as F


def task_similarity(a, b):
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()
