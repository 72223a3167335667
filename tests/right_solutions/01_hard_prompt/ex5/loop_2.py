import torch
from torch.nn import functional as F


def score_batch(logits, mask, labels):
    out = torch.empty(len(logits), len(labels))
    for b in range(len(logits)):
        t = int(mask[b].nonzero()[-1])
        for c, l in enumerate(labels):
            out[b, c] = -F.cross_entropy(logits[b, t][None], torch.tensor([l]))
    return out
