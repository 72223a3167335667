# hint: the mean runs over the columns: average over the virtual tokens, the rows
from torch.nn import functional as F


def task_similarity(a, b):
    return F.cosine_similarity(a.mean(1), b.mean(1), dim=0).item()
