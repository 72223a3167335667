# hint: missed counts all runs that are left out
from scipy import stats


def gate_cost(validation, test, majority):
    def low(right, n):
        return stats.binomtest(right, n).proportion_ci(method="wilson").low

    past = missed = 0
    for one, other, level in zip(validation, test, majority):
        if low(*one) > level:
            past += 1
        else:
            missed += 1
    return past, missed
