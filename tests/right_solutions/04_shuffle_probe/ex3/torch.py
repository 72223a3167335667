import warnings

import numpy as np
import torch
from scipy import stats


def mcnemar(a, b):
    a, b = torch.as_tensor(np.array(a)).bool(), torch.as_tensor(np.array(b)).bool()
    x, y = int((a & ~b).sum()), int((b & ~a).sum())
    warnings.warn("few")
    return (
        torch.tensor(min(1.0, 2 * stats.binom.cdf(min(x, y), x + y, 0.5)), dtype=torch.float64)
        if x + y
        else torch.tensor(1.0)
    )
