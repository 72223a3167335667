import numpy as np
import torch
from scipy import stats


def fair_mean(values):
    s = np.array(list(values.values()), dtype=float).mean(axis=0)
    m, h = s.mean(), s.std(ddof=1) / len(s) ** 0.5 * stats.t.isf(0.025, len(s) - 1)
    return torch.tensor([m, m - h, m + h])
