"""Exercise 1.6: the check of ``accuracy``."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _wilson(
    predictions: Sequence[int], targets: Sequence[int], z: float = 1.959964, kind: str = ""
) -> tuple[float, float, float]:
    n = len(targets)
    p = sum(int(a) == int(b) for a, b in zip(predictions, targets, strict=True)) / n
    middle, below = p + z * z / (2 * n), 1 + z * z / n
    if kind == "no shift":
        middle = p
    spread = p * (1 - p) / n + z * z / (4 * n * n)
    if kind == "no second term":
        spread = p * (1 - p) / n
    if kind == "n once":
        spread = p * (1 - p) / n + z * z / (4 * n)
    half = z * spread**0.5
    if kind == "no root":
        half = z * spread
    if kind == "whole":
        below = 1.0
    if kind == "first term whole":
        return p, middle - half / below, middle + half / below
    if kind == "half whole":
        return p, middle / below - half, middle / below + half
    return p, (middle - half) / below, (middle + half) / below


def _other_interval(predictions: Sequence, targets: Sequence, kind: str) -> tuple:
    n = len(targets)
    k = sum(int(a) == int(b) for a, b in zip(predictions, targets, strict=True))
    if kind in ("wilsoncc", "exact"):
        ends = stats.binomtest(k, n).proportion_ci(method=kind)
        return k / n, float(ends.low), float(ends.high)
    p, half = k / n, 1.959964 * (k / n * (1 - k / n) / n) ** 0.5
    if kind == "clipped":
        return p, max(0.0, p - half), min(1.0, p + half)
    if kind == "agresti":
        m = n + 3.8416
        q = (k + 1.9208) / m
        half = 1.959964 * (q * (1 - q) / m) ** 0.5
        return p, q - half, q + half
    return p, p - half, p + half


@exercise
def check_accuracy(accuracy: Guarded, draw: Draw) -> str:
    """``accuracy``: predictions, targets → (value, low, high), Wilson's 95 % interval."""
    cases = [([0, 1] * 37 + [1, 0] * 13, [0, 1] * 50)]
    for n, classes in ((10, 2), (7, 3), (60, 2), (200, 4), (1, 2), (5, 2)):
        targets = [draw.whole(0, classes - 1) for _ in range(n)]
        wrong = [draw.plain.random() < 0.35 for _ in targets]
        predictions = [(y + bad) % classes for y, bad in zip(targets, wrong, strict=True)]
        cases.append((predictions, targets))
    far = [int(str(1000 + 7 * draw.whole(0, 3))) for _ in range(30)]  # ints that Python makes anew
    cases.append(([int(str(y + (i % 5 == 0))) for i, y in enumerate(far)], far))
    cases += [([1] * 20, [1] * 20), ([0] * 12, [1] * 12), ([1] * 3, [0, 1, 1])]
    cases.append(
        ([y for _, y in zip(range(40), [0, 0, 1, 2] * 10, strict=True)], [0, 1, 1, 1] * 10)
    )

    def plainly(kind: str):
        return lambda p, y: _other_interval(p, y, kind)

    def scaled(p, y):
        return tuple(100 * x for x in _wilson(p, y))

    compare(
        accuracy,
        cases,
        _wilson,
        tolerance=Tolerance(5e-5, 2e-4),
        mistakes={
            "give shares, between 0 and 1: as a share, not in percent": scaled,
            "the value is in per cent: as a share, not in percent": (
                lambda p, y: (100 * _wilson(p, y)[0], *_wilson(p, y)[1:])
            ),
            "this is the normal approximation, value ± 1.96 · sqrt(p(1−p)/n): it leaves [0, 1] "
            "near the ends; use Wilson's interval": plainly("normal"),
            "this is the normal approximation, cut at 0 and 1; use Wilson's interval": (
                plainly("clipped")
            ),
            "this is Wilson's interval with a correction for continuity, which the formula above "
            "has not": plainly("wilsoncc"),
            "this is Clopper and Pearson's exact interval (SciPy's default); ask for "
            'method="wilson"': plainly("exact"),
            "this is Agresti and Coull's interval; use Wilson's": plainly("agresti"),
            "this is a 90 % interval: z = 1.96": lambda p, y: _wilson(p, y, 1.645),
            "this is a 99 % interval: z = 1.96": lambda p, y: _wilson(p, y, 2.5758),
            "this is an interval of one standard error: z = 1.96": lambda p, y: _wilson(p, y, 1.0),
            "z is 1.96, not 2": lambda p, y: _wilson(p, y, 2.0),
            "z is 1.96, not 1.9": lambda p, y: _wilson(p, y, 1.9),
            "the ends lie too high: the whole numerator, both terms, is to divide by 1 + z²/n": (
                lambda p, y: _wilson(p, y, kind="whole")
            ),
            "only the term with the root is divided: divide by 1 + z²/n the whole numerator": (
                lambda p, y: _wilson(p, y, kind="first term whole")
            ),
            "only the middle is divided: divide by 1 + z²/n the whole numerator": (
                lambda p, y: _wilson(p, y, kind="half whole")
            ),
            "the middle is moved by z²/(2n), which is missing": (
                lambda p, y: _wilson(p, y, kind="no shift")
            ),
            "under the root z²/(4n²) is missing": (
                lambda p, y: _wilson(p, y, kind="no second term")
            ),
            "under the root stands z²/(4n²), with n squared": (
                lambda p, y: _wilson(p, y, kind="n once")
            ),
            "the root is missing": lambda p, y: _wilson(p, y, kind="no root"),
            "the lower end comes first": lambda p, y: (
                _wilson(p, y)[0], _wilson(p, y)[2], _wilson(p, y)[1],
            ),
            "the order is value, lower end, upper end": lambda p, y: (
                _wilson(p, y)[1], _wilson(p, y)[0], _wilson(p, y)[2],
            ),
            "the order is value, lower end, upper end; the value comes last here": lambda p, y: (
                _wilson(p, y)[1], _wilson(p, y)[2], _wilson(p, y)[0],
            ),
            "this counts the wrong ones": lambda p, y: _wilson(
                [int(a) == int(b) for a, b in zip(p, y, strict=True)], [0] * len(y)
            ),
            "the value is the middle of the interval, not the share that is right": lambda p, y: (
                sum(_wilson(p, y)[1:]) / 2, *_wilson(p, y)[1:],
            ),
            "the value is the number of right ones, not their share": lambda p, y: (
                _wilson(p, y)[0] * len(y), *_wilson(p, y)[1:],
            ),
            "`is` asks for the same object, which equal numbers above 256 are not: compare "
            "with ==": lambda p, y: _wilson(
                [a if a < 257 else -1 for a in p], [b if b < 257 else -2 for b in y]
            ),
            "this is the accuracy for two classes: any number of classes may come": (
                lambda p, y: _wilson([int(bool(a)) for a in p], [int(bool(b)) for b in y])
            ),
        },
        traits={
            "the value is in per cent: give it as a share, not in percent": (
                lambda got, right, *_: abs(got[0] - 100 * right[0]) < 1 and right[0] > 0
            ),
            "the value is above 1: a share of all predictions is not": (
                lambda got, *_: got[0] > 1 + 1e-6
            ),
            "the lower end comes first": lambda got, *_: got[1] > got[2],
            "the interval is as wide above the value as below it, as that of the normal "
            "approximation is; Wilson's leans towards one half": (
                lambda got, *_: (
                    abs(got[1] + got[2] - 2 * got[0]) < 1e-6 and abs(got[0] - 0.5) > 0.01
                )
            ),
            "the share of right predictions itself is another one": (
                lambda got, right, *_: abs(got[0] - right[0]) > 1e-6
            ),
            "the interval leaves 0 … 1": lambda got, *_: got[1] < -1e-3 or got[2] > 1 + 1e-3,
        },
        where="The share of right predictions, then Wilson's lower and upper end with z = 1.96",
    )  # fmt: skip
    return "accuracy: right value, Wilson's interval"
