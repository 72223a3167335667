# hint: the share itself is held against the majority class
def gate_cost(validation, test, majority):
    past = missed = 0
    for (right, n), (hits, m), level in zip(validation, test, majority):
        if right / n > level:
            past += 1
        elif hits / m > level:
            missed += 1
    return past, missed
