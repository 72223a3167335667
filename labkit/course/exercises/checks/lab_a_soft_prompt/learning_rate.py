"""Milestone A.5: the check of ``learning_rate``."""

from __future__ import annotations

import math

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def right_rate(step: int, steps: int, lr: float, warmup: int) -> float:
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * (steps - step) / (steps - warmup)


@exercise
def check_learning_rate(learning_rate: Guarded, draw: Draw) -> str:
    """``learning_rate``: step (from 0), steps, lr, warmup → the rate of that step."""
    steps, lr = draw.whole(11, 30), draw.choices([0.02, 0.5, 1.0, 0.004], 1)[0]
    cases = [(step, 10, 0.01, 4) for step in range(10)]
    cases += [(step, steps, lr, 3) for step in range(0, steps, 4)]
    cases += [(0, 5, 0.1, 0), (4, 5, 0.1, 0), (0, 8, 0.3, 1), (1, 8, 0.3, 1), (3, 4, 0.2, 4)]
    cases += [(199, 200, 5e-3, 10), (draw.whole(11, 198), 200, 5e-3, 10)]

    def rising(step, steps, lr, warmup):
        return lr * (step + 1) / warmup

    def cosine(step, steps, lr, warmup):
        if step < warmup:
            return rising(step, steps, lr, warmup)
        return lr * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2

    def then(later, early=rising):
        """A mistake in the second part (or in the first)."""
        return lambda *a: early(*a) if a[0] < a[3] else later(*a)

    compare(
        learning_rate,
        cases,
        right_rate,
        mistakes={
            "the first step has the rate 0, and does nothing: at step 0 it is lr / warmup": (
                then(right_rate, lambda step, steps, lr, warmup: lr * step / warmup)
            ),
            "there is no warm-up: in the first `warmup` steps the rate rises from lr / warmup": (
                then(right_rate, lambda step, steps, lr, warmup: lr)
            ),
            "the rate stays at lr after the warm-up: it falls, by the same amount at each step": (
                then(lambda step, steps, lr, warmup: lr)
            ),
            "the rate jumps down after the warm-up: the fall begins there, at lr, not at step 0": (
                then(lambda step, steps, lr, warmup: lr * (1 - step / steps))
            ),
            "the rate reaches 0 in the last step, which then does nothing: it would be 0 at the "
            "step after the last": then(
                lambda step, steps, lr, warmup: lr * (steps - step - 1) / max(steps - warmup - 1, 1)
            ),
            "the rate is one step ahead after the warm-up: its first step there has lr itself": (
                then(lambda step, steps, lr, warmup: lr * (steps - step - 1) / (steps - warmup))
            ),
            "the fall follows a cosine: here it is a straight line": cosine,
            "this is the share of lr: multiply by it": (
                lambda step, steps, lr, warmup: right_rate(step, steps, 1.0, warmup)
            ),
            "the rate falls from the first step on: it first rises, for `warmup` steps": (
                lambda step, steps, lr, warmup: lr * (1 - step / steps)
            ),
        },
        where="Step s < warmup: lr · (s + 1) / warmup. From then on "
        "lr · (steps − s) / (steps − warmup)",
    )
    return "the rate: up to lr in `warmup` steps, then down in a straight line"
