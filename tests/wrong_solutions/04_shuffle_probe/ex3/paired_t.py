# hint: this is a paired t test: count the binomial exactly
import numpy as np
from scipy import stats


def mcnemar(a, b):
    return float(stats.ttest_rel(np.asarray(a, float), np.asarray(b, float)).pvalue)
