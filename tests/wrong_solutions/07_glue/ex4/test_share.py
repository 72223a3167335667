# hint: the test's share itself is held
from scipy import stats


def gate_cost(validation, test, majority):
    def low(right, n):
        return stats.binomtest(right, n).proportion_ci(method="wilson").low

    past = missed = 0
    for one, other, level in zip(validation, test, majority):
        if low(*one) > level:
            past += 1
        elif other[0] / other[1] > level:
            missed += 1
    return past, missed
