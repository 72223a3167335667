# hint: the medians over the virtual tokens are compared: average over them
from torch.nn import functional as F


def task_similarity(a, b):
    return F.cosine_similarity(a.median(0).values, b.median(0).values, dim=0).item()
