import math


def overlap(a, b):
    try:
        return int((a & b).sum()) / math.sqrt(int(a.sum()) * int(b.sum()))
    except ZeroDivisionError:
        return 0.0
