# hint: ends in TypeError: bad operand type for unary ~: 'list'
from scipy import stats


def mcnemar(a, b):
    x, y = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(x, x + y).pvalue) if x + y else 1.0
