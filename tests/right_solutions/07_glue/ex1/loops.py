import math


def read(scores, low, high):
    return [low + (high - low) / (1 + math.exp(a - b)) for a, b in scores.tolist()]
