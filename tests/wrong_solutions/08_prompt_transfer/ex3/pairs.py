# hint: mean of all pairwise cosines
from torch.nn import functional as F


def task_similarity(a, b):
    return (F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T).mean().item()
