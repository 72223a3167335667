"""Exercise 6.3: the check of ``mask_chosen``."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import as_tensor


def _left(scores: Tensor, chosen: list[int], value: float = -torch.inf) -> Tensor:
    kept = [value if i in chosen else score for i, score in enumerate(scores.double().tolist())]
    return torch.tensor(kept, dtype=torch.float64).softmax(0)


_AFTER_ALL = (
    "where a chosen token takes all the probability, zero is divided by zero: −∞ among the scores "
    "first, then the softmax"
)


@exercise
def check_mask_chosen(masked: Guarded, draw: Draw) -> str:
    """``masked``: scores (P,), indices chosen so far → probabilities (P,)."""
    first = torch.tensor([3.0, 1.0, 2.0, 0.0])
    cases: list[tuple] = [(first, [0]), (first, []), (first, [2, 0, 1]), (torch.zeros(4), [0, 2])]
    cases += [(torch.tensor([-5.0, -9.0, -7.0]), [0]), (draw.normal(1), [])]
    for size in (2, 5, 6, 9, 300):
        cases.append((3 * draw.normal(size) - 2, draw.order(size)[: draw.whole(1, size - 1)]))
    for size in (3, 4, 7):  # the first choice had all the probability
        scores, order = 2 * draw.normal(size), draw.order(size)
        scores[order[0]] += 1000
        cases.append((scores, order[: draw.whole(1, size - 1)]))
    cases.append((100 * draw.normal(5), draw.order(5)[:2]))
    cases.append((1e4 * draw.normal(5) + 1e6, draw.order(5)[:2]))

    def value(number: float):
        return lambda s, c: _left(s, c, number)

    def after(s: Tensor, c: list[int], divide: bool = False) -> Tensor:
        p = s.softmax(0) if divide else s.double().softmax(0)
        p[c] = 0
        return p / p.sum() if divide else p

    def scaled(s, c):
        kept = s.double().clone()
        kept[c] *= 0
        return kept.softmax(0)

    compare(
        masked,
        cases,
        _left,
        mistakes={
            "the rest does not sum to 1: mask before the softmax (with −∞), not after it": after,
            _AFTER_ALL: lambda s, c: after(s, c, divide=True),
            "a chosen token still has probability, as if it had not been chosen: the scores of "
            "`chosen` have to change": lambda s, c: s.double().softmax(0),
            "a chosen token's score should be −∞: a zero is a score like any other": value(0.0),
            "a chosen token's score should be −∞: a small number is a score like any other": (
                value(-1.0)
            ),
            "a chosen token's score should be −∞: −10 is a score like any other": value(-10.0),
            "a chosen token's score should be −∞: −100 is a score like any other": value(-100.0),
            "a chosen token's score should be −∞: −1000 is a score like any other": value(-1e3),
            "a chosen token's score should be −∞: −10,000 is a score like any other": value(-1e4),
            "a chosen token's score should be −∞: −1e6 is a score like any other": value(-1e6),
            "a chosen token's score should be −∞, and a small positive number is far from it": (
                value(1e-9)
            ),
            "a chosen token gets the lowest score, which is a score like any other: −∞": (
                lambda s, c: _left(s, c, float(s.min()))
            ),
            "it is turned round: the tokens that are *not* chosen yet share the probability": (
                lambda s, c: _left(s, [i for i in range(len(s)) if i not in c])
            ),
            "only the last choice is left out: all tokens of `chosen` have none": (
                lambda s, c: _left(s, c[-1:])
            ),
            "only the first choice is left out: all tokens of `chosen` have none": (
                lambda s, c: _left(s, c[:1])
            ),
            "the first tokens are left out, as many as were chosen: `chosen` names them": (
                lambda s, c: _left(s, list(range(len(c))))
            ),
            "the chosen tokens are gone from the result: they stay, with probability 0": (
                lambda s, c: s.double()[[i for i in range(len(s)) if i not in c]].softmax(0)
            ),
            "these are masked scores: the softmax is missing": (
                lambda s, c: torch.where(_left(s, c) > 0, s.double(), -torch.inf)
            ),
            "the rest shares evenly: each keeps its proportion": (
                lambda s, c: _left(torch.zeros(len(s)), c)
            ),
            "these are the logarithms of the probabilities": lambda s, c: _left(s, c).log(),
            "the chosen tokens' scores are halved: −∞ gives them no probability": (
                lambda s, c: torch.where(
                    torch.tensor([i in c for i in range(len(s))]), s / 2, s
                ).double().softmax(0)
            ),
        },
        traits={
            _AFTER_ALL: lambda got, *_: bool(got.isnan().any()),
            "nothing is left for the others where a chosen token had all the probability: −∞ among "
            "the scores first, then the softmax": lambda got, *_: float(got.sum()) < 0.5,
        },
        where="Probability 0 for every token of `chosen`, and the softmax of the scores of the "
        "others",
    )  # fmt: skip
    if masked.raised(first, [1]) is None:
        exact = as_tensor(masked(first, [1]))
        require(
            exact is not None and float(exact[1]) == 0,
            "a chosen token keeps a tiny probability: its score should be −∞",
        )
    return "masked: a chosen token can't be chosen again"
