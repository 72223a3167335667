# hint: the longer prompt was cut to the shorter: average over all virtual tokens
from torch.nn import functional as F


def task_similarity(a, b):
    n = min(len(a), len(b))
    return F.cosine_similarity(a[:n].mean(0), b[:n].mean(0), dim=0).item()
