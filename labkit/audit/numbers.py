"""What a printed number can tell: its digits, the counts it can come from, its interval.

Numbers are decimals, so sums and differences are exact and a printed digit is compared with the
digit that should stand there. Scores are in percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from labkit.core import statistics
from labkit.core.statistics import Interval


def rounded(value: Decimal, like: Decimal) -> Decimal:
    """To as many digits as ``like`` has, halves up."""
    return value.quantize(like, ROUND_HALF_UP)


def cut(value: Decimal, like: Decimal) -> Decimal:
    """The digits that ``like`` has, the others left off."""
    return value.quantize(like, ROUND_DOWN)


def rounding_slack(numbers: Iterable[Decimal]) -> Decimal:
    """How far rounding can move a sum: half a unit of each number's last digit, 0.05 for 1.5."""
    halves = (Decimal((0, (5,), int(n.as_tuple().exponent) - 1)) for n in numbers)
    return sum(halves, Decimal(0))


def is_possible(score: Decimal, n: int) -> bool:
    """Whether some k of n right answers, in percent, is ``score``, rounded or cut.

    Source: the GRIM test, Brown and Heathers (2017), doi 10.1177/1948550616673876.
    """
    near = int(score * n / 100)
    shares = (Decimal(100 * k) / n for k in (near, near + 1) if k <= n)
    return any(score in (rounded(share, score), cut(share, score)) for share in shares)


def possible_share(n: int) -> float:
    """Of all scores with one digit, 0.0 to 100.0, the share that n examples can give."""
    tenths = [Decimal(k).scaleb(-1) for k in range(1001)]
    return sum(is_possible(score, n) for score in tenths) / len(tenths)


def accuracy_interval(score: Decimal, n: int) -> Interval:
    """Wilson's, of an accuracy."""
    low, high = statistics.accuracy_interval((round(float(score) / 100 * n), n))
    return Interval(100 * low, 100 * high)


def pearson_interval(score: Decimal, n: int) -> Interval:
    """Fisher's, of a correlation, from r and n alone."""
    z, half = math.atanh(float(score) / 100), statistics.Z / math.sqrt(n - 3)
    return Interval(100 * math.tanh(z - half), 100 * math.tanh(z + half))


def covers(score: Decimal, n: int, value: Decimal) -> bool:
    """Whether ``value`` lies in the interval of an accuracy of n examples."""
    low, high = accuracy_interval(score, n)
    return low <= value <= high


def falls(names: Sequence, values: Sequence[Decimal]) -> list[tuple]:
    """(name, next name) wherever the next value is smaller."""
    pairs = zip(names[:-1], names[1:], values[:-1], values[1:], strict=True)
    return [(name, after) for name, after, value, following in pairs if following < value]


def indices(span: str) -> int:
    """How many indices ``0-80`` holds: both ends count."""
    first, last = map(int, span.split("-"))
    return last - first + 1
