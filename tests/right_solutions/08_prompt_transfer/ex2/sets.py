import math


def overlap(a, b):
    A, B = set(a.nonzero().flatten().tolist()), set(b.nonzero().flatten().tolist())
    return len(A & B) / math.sqrt(len(A) * len(B)) if A and B else 0
