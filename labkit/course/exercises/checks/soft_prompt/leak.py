"""Exercise 2.7: the check of ``leak``, what new output rows take from the softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _parts(logits: Tensor, new: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of the sums over all, the old and the new entries: (B,) each."""
    exact = logits.double()
    old = [entry for entry in range(logits.shape[1]) if entry not in new]
    return exact.logsumexp(1), exact[:, old].logsumexp(1), exact[:, new].logsumexp(1)


def _leak(logits: Tensor, new: list[int]) -> Tensor:
    everything, old, _ = _parts(logits, new)
    return (everything - old).float()


@exercise
def check_leak(leak: Guarded, draw: Draw) -> str:
    """``leak``: logits (B, V), new: ids of the new rows → nats that every label loses (B,)."""
    cases = [(torch.zeros(2, 4), [3]), (torch.tensor([[0.0, 1.0, 2.0, 0.5, 0.0]]), [1, 3])]
    for rows, size, count in ((3, 9, 2), (1, 6, 3), (4, 300, 20), (2, 5, 1), (5, 5, 2)):
        cases.append((2 * draw.normal(rows, size), sorted(draw.order(size)[:count])))
    steep = 10 * draw.normal(3, 12) + 110  # exponentials run over
    cases.append((steep, draw.order(12)[:3]))
    closed, drowned = draw.normal(2, 8), draw.normal(2, 8)
    closed[:, [2, 5]] = -1e4  # masked: nothing leaks
    drowned[:, [0, 7]] += 40.0  # the virtual tokens take all but a trace
    cases += [(closed, [2, 5]), (drowned, [7, 0])]
    cases.append((2 * draw.normal(3, 9) - 200, draw.order(9)[:3]))  # all scores are low

    def lowered(score: float) -> Callable[[Tensor, list[int]], Tensor]:
        return lambda logits, new: set_to(logits, new, score)

    def behind(logits: Tensor, new: list[int]) -> Tensor:
        return _leak(logits, list(range(logits.shape[1] - len(new), logits.shape[1])))

    def set_to(logits: Tensor, new: list[int], score: float = 0.0) -> Tensor:
        low = logits.double().clone()
        low[:, new] = score
        return (logits.double().logsumexp(1) - low.logsumexp(1)).float()

    def share(logits: Tensor, new: list[int]) -> Tensor:
        everything, _, fresh = _parts(logits, new)
        return (fresh - everything).exp().float()

    compare(
        leak,
        cases,
        _leak,
        mistakes={
            "the sign is turned: give what is lost as a positive number": (
                lambda z, n: -_leak(z, n)
            ),
            "this is the probability that the new rows take: a label loses nats, the difference of "
            "two logarithms": share,
            "the new rows are taken for the last ones: `new` says where they are": behind,
            "new rows with a logit of 0 still take probability, exp(0) each: leave them out of the "
            "sum, or give them minus infinity": set_to,
            "a score of −10 takes probability where all scores are low: minus infinity": (
                lowered(-10.0)
            ),
            "a score of −100 takes probability where all scores are low: minus infinity": (
                lowered(-100.0)
            ),
            "the exponentials run over: `logsumexp` takes the largest out first": (
                lambda z, n: (
                    z.exp().sum(1) / z[:, [i for i in range(z.shape[1]) if i not in n]].exp().sum(1)
                ).log()
            ),
            "1 − p was taken, which is rounded to 0 where the new rows take nearly all: take the "
            "difference of two `logsumexp`": (
                lambda z, n: -torch.log(1 - z.softmax(1)[:, n].sum(1))
            ),
            "this is in bits: a nat has the natural logarithm": (
                lambda z, n: _leak(z, n) / math.log(2)
            ),
            "only the first of the new rows is counted: all of them take": (
                lambda z, n: _leak(z, n[:1])
            ),
            "this is how far the new rows' sum stands above the old ones': the softmax divides by "
            "the sum of all": lambda z, n: (_parts(z, n)[2] - _parts(z, n)[1]).float(),
            "this is the logarithm of the new rows' probability: a label loses what is taken from "
            "the old ones": lambda z, n: (_parts(z, n)[0] - _parts(z, n)[2]).float(),
        },
        where="For each text: the logarithm of the sum over all entries, less that over the old "
        "ones alone",
        tolerance=Tolerance(1e-4, 1e-4),  # logits above 100 have five decimals in 32 bits
    )  # fmt: skip
    return "what the new rows take from every label, in nats"
