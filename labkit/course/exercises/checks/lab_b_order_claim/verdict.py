"""Exercise B.1: the check of ``verdict``."""

from __future__ import annotations

from collections.abc import Callable

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _word(supported: bool, refuted: bool) -> str:
    return "supported" if supported else "refuted" if refuted else "undecided"


def _verdict(low: float, high: float, margin: float) -> str:
    return _word(low > margin, high < margin)


@exercise
def check_verdict(verdict: Guarded, draw: Draw) -> str:
    """``verdict``: an effect's interval, the smallest effect that counts → a word."""
    cases = [(0.03, 0.08, 0.02), (-0.01, 0.01, 0.02), (0.01, 0.05, 0.02), (0.0, 0.01, 0.02)]
    cases += [(-0.08, -0.03, 0.02), (0.005, 0.015, 0.02), (-0.03, 0.06, 0.02), (0.11, 0.2, 0.1)]
    cases += [(-0.05, -0.01, 0.02), (-0.02, 0.015, 0.03)]
    cases += [(0.02, 0.05, 0.02), (0.0, 0.02, 0.02), (0.03, 0.03, 0.03)]  # an end on the margin
    for _ in range(20):
        low = round(draw.plain.uniform(-0.1, 0.1), 3)
        width, margin = draw.plain.uniform(0.005, 0.1), draw.plain.uniform(0.005, 0.05)
        cases.append((low, round(low + width, 3), round(margin, 4) + 3e-5))

    def by(word: Callable[[float, float, float], str]):
        return word

    compare(
        verdict,
        cases,
        _verdict,
        mistakes={
            "the interval is held against 0, and the margin is not used: an effect smaller than "
            "what counts does not support the claim": by(
                lambda low, high, m: _word(low > 0, high < 0)
            ),
            "a claim is supported only where *all* of the interval lies above the margin; here its "
            "upper end does": by(lambda low, high, m: _word(high > m, high <= m)),
            "the middle of the interval decides: all of it has to lie on one side": by(
                lambda low, high, m: _word((low + high) / 2 > m, (low + high) / 2 <= m)
            ),
            "refuted is held against 0: an effect that is there and smaller than the margin "
            "refutes the claim as well": by(lambda low, high, m: _word(low > m, high < 0)),
            "refuted is held against −margin: the claim says that the effect is *larger* than the "
            "margin": by(lambda low, high, m: _word(low > m, high < -m)),
            "supported is held against 0, refuted against the margin: the margin for both": by(
                lambda low, high, m: _word(low > 0, high < m)
            ),
            "not supported is not refuted: where the margin lies within the interval it is "
            "undecided": by(lambda low, high, m: _word(low > m, low <= m)),
            "an end on the margin counts as beyond it: the margin lies within the interval, "
            "undecided": by(lambda low, high, m: _word(low >= m, high <= m)),
            "a lower end on the margin counts as above it: the margin lies within the interval, "
            "undecided": by(lambda low, high, m: _word(low >= m, high < m)),
            "an upper end on the margin counts as below it: the margin lies within the interval, "
            "undecided": by(lambda low, high, m: _word(low > m, high <= m)),
            "an effect the other way round counts as support, the sign is lost": by(
                lambda low, high, m: _word(low > m or high < -m, abs(low) < m and abs(high) < m)
            ),
            "supported and refuted are exchanged": by(
                lambda low, high, m: _word(high < m, low > m)
            ),
        },
        where="supported: low > margin; refuted: high < margin; else undecided",
    )
    return "verdict: supported, refuted, or undecided, by the whole interval"
