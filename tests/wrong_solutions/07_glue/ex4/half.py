# hint: a half is the level for all runs
from scipy import stats


def gate_cost(validation, test, majority):
    def low(right, n):
        return stats.binomtest(right, n).proportion_ci(method="wilson").low

    past = missed = 0
    for one, other, level in zip(validation, test, majority):
        if low(*one) > 0.5:
            past += 1
        elif low(*other) > 0.5:
            missed += 1
    return past, missed
