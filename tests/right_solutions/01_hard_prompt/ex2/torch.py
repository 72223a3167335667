import math

import torch


def split(sentences, labels, share, seed):
    d = list(dict.fromkeys(sentences))
    p = torch.randperm(len(d), generator=torch.Generator().manual_seed(seed)).tolist()
    t = {d[i] for i in p[: math.ceil(share * len(d))]}
    parts = ([], [])
    for s, y in zip(sentences, labels):
        parts[s in t].append((s, y))
    return parts
