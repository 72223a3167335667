# hint: task_similarity changes its argument `a`: work on a copy, the caller needs it as it was
from torch.nn import functional as F


def task_similarity(a, b):
    a -= a.mean()
    b -= b.mean()
    return F.cosine_similarity(a.mean(0), b.mean(0), dim=0).item()
