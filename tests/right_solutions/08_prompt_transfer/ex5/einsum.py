import numpy as np
import torch


def average_start(prompts, similarities, k):
    i = np.argsort(similarities)[::-1][:k].copy()
    w = torch.tensor(np.array(similarities)[i])
    return torch.einsum("k,kpd->pd", w / w.sum(), torch.stack([prompts[j] for j in i]).double())
