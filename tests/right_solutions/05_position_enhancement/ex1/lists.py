import math


def sinusoids(length, width):
    return [
        [math.sin(p / 10_000 ** (c / width) + (math.pi / 2 if c % 2 else 0)) for c in range(width)]
        for p in range(length)
    ]
