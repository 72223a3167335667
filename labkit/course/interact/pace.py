"""Live parts fit the machine: how often it can do something in the time there is, measured.

Usage::

    count = affordable(lambda: model.scores(prompt, sample), most=8, least=4, seconds=60)
"""

from __future__ import annotations

import time
from collections.abc import Callable

from labkit.course.language import in_language


def affordable(once: Callable[[], object], *, most: int, least: int, seconds: float) -> int:
    """As many times as ``once`` fits into the seconds, by how long one takes now.

    Prints a line where that is fewer than ``most``; a machine that is quick enough prints nothing.

    Args:
        once: a piece of the work, run a single time here.
        most, least: between them lies the result, whatever was measured.
    """
    begun = time.monotonic()
    once()
    took = time.monotonic() - begun
    count = max(least, min(most, int(seconds / max(took, 1e-9))))
    if count < most:
        words = f"one takes {took:.1f} s on this machine: {count} instead of {most}"
        print(in_language(words))
    return count
