# hint: this is the normal approximation
def gate_cost(validation, test, majority):
    def low(right, n):
        return right / n - 1.959964 * (right / n * (1 - right / n) / n) ** 0.5

    past = missed = 0
    for one, other, level in zip(validation, test, majority):
        if low(*one) > level:
            past += 1
        elif low(*other) > level:
            missed += 1
    return past, missed
