"""Exercise 7.1: the check of ``two_poles``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


@exercise
def check_two_poles(read: Guarded, draw: Draw) -> str:
    """``read``: log-scores of the low and the high pole (N, 2), limits → values (N,)."""
    first = torch.tensor([[0.0, 0.0], [-1.0, 2.0], [30.0, -30.0], [0.0, math.log(3.0)]])
    cases = [(first, 0.0, 5.0), (first, -4.0, 4.0), (draw.normal(1, 2), 1.0, 3.0)]
    cases += [(3 * draw.normal(n, 2) - 4, low, high) for n, low, high in
              ((2, 0.0, 1.0), (7, 2.0, 2.5), (5, -10.0, -3.0), (300, 0.0, 5.0))]  # fmt: skip
    cases.append((torch.tensor([[-30.0, -31.0], [20.0, 22.0], [2.0, 2.0]]), 1.0, 3.0))

    def right(scores: Tensor, low: float, high: float) -> Tensor:
        shares = [1 / (1 + math.exp(a - b)) for a, b in scores.double().tolist()]
        return torch.tensor([low + (high - low) * share for share in shares]).double()

    def share(scores: Tensor) -> Tensor:
        return scores.double().softmax(-1)[:, 1]

    def raw(scores: Tensor) -> Tensor:
        return scores.double()[:, 1] / scores.double().sum(-1)

    compare(
        read,
        cases,
        right,
        mistakes={
            "the poles are exchanged: column 1 is the high pole, and its share should raise the "
            "value": lambda s, low, high: low + (high - low) * (1 - share(s)),
            "only the ends of the range come out: interpolate, do not choose": (
                lambda s, low, high: torch.where(share(s) > 0.5, high, low).double()
            ),
            "these are shares between 0 and 1: stretch them over the range": (
                lambda s, low, high: share(s)
            ),
            "the range does not begin at 0: low + (high − low) · share": (
                lambda s, low, high: high * share(s)
            ),
            "the width of the range is used, its begin is not: add low": (
                lambda s, low, high: (high - low) * share(s)
            ),
            "low is added, but the share is stretched by high: the range is high − low wide": (
                lambda s, low, high: low + high * share(s)
            ),
            "the scores are not turned into shares, and values leave the range: take the softmax "
            "of the two scores first": lambda s, low, high: low + (high - low) * s.double()[:, 1],
            "the difference of the scores is used as it is, and values leave the range: take the "
            "softmax of the two scores first": (
                lambda s, low, high: low + (high - low) * (s.double()[:, 1] - s.double()[:, 0])
            ),
            "the scores are divided by their sum without e to the power of them, and values leave "
            "the range: take the softmax first": (lambda s, low, high: low + (high - low) * raw(s)),
            "the high pole's score alone decides: the share compares it with the low pole's": (
                lambda s, low, high: low + (high - low) * s.double()[:, 1].sigmoid()
            ),
            "the scores are taken for probabilities: they are log-scores, so exp comes first": (
                lambda s, low, high: low + (high - low) * s.double()[:, 1].exp()
            ),
            "the softmax runs over the examples: it compares the two poles of each": (
                lambda s, low, high: low + (high - low) * s.double().softmax(0)[:, 1]
            ),
            "the softmax is taken twice": (
                lambda s, low, high: low + (high - low) * s.double().softmax(-1).softmax(-1)[:, 1]
            ),
            "the value is the weight of low plus that of high, each without its own end": (
                lambda s, low, high: low + high * share(s) - low * 0
            ),
            "one column per pole comes back: one value for each pair of scores": (
                lambda s, low, high: low + (high - low) * s.double().softmax(-1)
            ),
            "one number for all: one value for each pair of scores": (
                lambda s, low, high: (low + (high - low) * share(s)).mean()
            ),
            "one entry in a row of its own for each pair: (N,), not (N, 1)": (
                lambda s, low, high: (low + (high - low) * share(s))[:, None]
            ),
            "the values are rounded: they lie between the ends in proportion": (
                lambda s, low, high: (low + (high - low) * share(s)).round()
            ),
        },
        where="low + (high − low) · softmax(scores)[high], the high pole in column 1",
    )
    return "two poles: between the ends of the range, in proportion"
