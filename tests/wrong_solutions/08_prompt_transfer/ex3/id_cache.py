# hint: task_similarity keeps results from call to call: after the values in its arguments changed
from torch.nn import functional as F

_k = {}


def task_similarity(a, b):
    key = (id(a), id(b))
    if key not in _k:
        _k[key] = a, b, F.cosine_similarity(a.mean(0), b.mean(0), dim=0).item()
    return _k[key][2]
