"""Exercise 6.2: the check of ``gate``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


@exercise
def check_gate(gate: Guarded, draw: Draw) -> str:
    """``gate``: encoded (P, D), hidden (D,), weight (D, D) → O_i (P,)."""
    cases = []
    for p, d in ((5, 3), (3, 3), (1, 4), (2, 6), (7, 2), (4, 4), (300, 2), (5, 3)):
        cases.append((draw.normal(p, d), draw.normal(d), draw.normal(d, d)))
    cases.append((20 * draw.normal(4, 3), 5 * draw.normal(3), 3 * draw.normal(3, 3)))
    cases.append((torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.ones(2),
                  torch.zeros(2, 2)))  # fmt: skip

    def right(encoded: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
        query = [sum(w * x for w, x in zip(row, hidden.tolist(), strict=True))
                 for row in weight.tolist()]  # fmt: skip
        scores = [sum(a * b for a, b in zip(row, query, strict=True)) for row in encoded.tolist()]
        return torch.tensor(scores, dtype=torch.float64).softmax(0)

    def soft(scores: Callable[[Tensor, Tensor, Tensor], Tensor]):
        return lambda e, h, w: scores(e, h, w).softmax(0)

    compare(
        gate,
        cases,
        right,
        mistakes={
            "these are scores; equation 10 takes their softmax": lambda e, h, w: e @ (w @ h),
            "a sigmoid for each token: the probabilities do not sum to 1, softmax over the virtual "
            "tokens": lambda e, h, w: (e @ (w @ h)).sigmoid(),
            "the weight is not used: the hidden state goes through it first": (
                soft(lambda e, h, w: e @ h)
            ),
            "hidden · weight where weight · hidden was asked for: transposed": (
                soft(lambda e, h, w: e @ (h @ w))
            ),
            "the products are divided by sqrt(D): equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(h) ** 0.5)
            ),
            "the products are divided by D: equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(h))
            ),
            "the products are divided by sqrt(P): equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(e) ** 0.5)
            ),
            "these are the logarithms of the probabilities": (
                lambda e, h, w: (e @ (w @ h)).log_softmax(0)
            ),
            "e to the power of the scores is not divided by its sum: softmax": (
                lambda e, h, w: (e @ (w @ h)).exp()
            ),
            "the softmax runs over each column before the products are summed: sum first": (
                lambda e, h, w: (e * (w @ h)).softmax(0).sum(1)
            ),
            "divided by their sum without e to the power of them: softmax": (
                lambda e, h, w: (e @ (w @ h)) / (e @ (w @ h)).sum()
            ),
            "the sign of the scores is turned: the best token gets the most": (
                soft(lambda e, h, w: -(e @ (w @ h)))
            ),
            "the choice comes back, one-hot: equation 10 gives the probabilities": (
                lambda e, h, w: nn.functional.one_hot((e @ (w @ h)).argmax(), len(e)).double()
            ),
            "the number of the best token comes back: equation 10 gives the probabilities": (
                lambda e, h, w: (e @ (w @ h)).argmax()
            ),
            "the cosine was taken: the products are not divided by the lengths": (
                soft(lambda e, h, w: nn.functional.cosine_similarity(e, (w @ h)[None], dim=1))
            ),
            "the query goes through tanh, which the equation does not have": (
                soft(lambda e, h, w: e @ (w @ h).tanh())
            ),
            "a column per token with one entry: (P,), not (P, 1)": (
                lambda e, h, w: (e @ (w @ h)).softmax(0)[:, None]
            ),
            "a softmax over one entry is always 1: it runs over the virtual tokens": (
                lambda e, h, w: torch.ones(len(e))
            ),
        },
        where="The softmax over p of encoded_p · (weight · hidden)",
    )
    return "selection gate: a probability for every virtual token"
