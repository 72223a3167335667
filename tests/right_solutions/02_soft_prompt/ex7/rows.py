import math


def leak(logits, new):
    lost = []
    for row in logits.tolist():
        top = max(row)
        every = [math.exp(z - top) for z in row]
        rest = [row[i] for i in range(len(row)) if i not in new]
        best = max(rest)
        lost.append(
            math.log(sum(every)) + top - math.log(sum(math.exp(z - best) for z in rest)) - best
        )
    return lost
