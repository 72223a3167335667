"""Exercise 5.3: the check of ``head``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _attend(
    q: Tensor, k: Tensor, v: Tensor, r: Tensor, scale: float = 1.0, sign: float = 1.0
) -> Tensor:
    q, k, v, r = (x.double() for x in (q, k, v, r))
    rows = []
    for i in range(len(q)):
        scores = [float(q[i] @ k[j]) * scale + sign * float(r[i, j]) for j in range(len(k))]
        top = max(scores)
        weights = [math.exp(score - top) for score in scores]
        rows.append(sum(w * v[j] for j, w in enumerate(weights)) / sum(weights))
    return torch.stack(rows)


@exercise
def check_head(head: Guarded, draw: Draw) -> str:
    """``head``: queries, keys, values (P, d), relative scores (P, P) → (P, d)."""
    cases = []
    for p, d in ((4, 3), (5, 4), (1, 3), (3, 3), (2, 5), (6, 1), (12, 2)):
        queries_keys_values = [draw.normal(p, d) for _ in range(3)]
        cases.append((*queries_keys_values, draw.normal(p, p)))
    cases.append((*(draw.normal(4, 3) for _ in range(3)), torch.zeros(4, 4)))
    far = torch.full((4, 4), -1e9).masked_fill(torch.eye(4).bool().roll(1, 1), 0.0)
    cases.append((*(draw.normal(4, 3) for _ in range(3)), far))
    cases.append(
        (*(30 * draw.normal(3, 4) for _ in range(2)), draw.normal(3, 4), draw.normal(3, 3))
    )

    def mixed(weights: Callable[..., Tensor]):
        return lambda q, k, v, r: weights(q, k, r) @ v

    compare(
        head,
        cases,
        _attend,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes={
            "the scores are divided by sqrt(d): equation 5 has no such factor": (
                lambda q, k, v, r: _attend(q, k, v, r, q.shape[1] ** -0.5)
            ),
            "all scores are divided by sqrt(d), the relative ones too: equation 5 has no such "
            "factor": mixed(lambda q, k, r: ((q @ k.T + r) / q.shape[1] ** 0.5).softmax(-1)),
            "the scores are divided by d: equation 5 has no such factor": (
                lambda q, k, v, r: _attend(q, k, v, r, 1 / q.shape[1])
            ),
            "the softmax runs over the places that ask: each place shares out its own attention, "
            "so take it over the last axis": mixed(lambda q, k, r: (q @ k.T + r).softmax(0)),
            "the softmax runs over all pairs: each place shares out its own attention, so take it "
            "over the last axis": mixed(
                lambda q, k, r: (q @ k.T + r).flatten().softmax(0).reshape(r.shape)
            ),
            "the weights are not normalised: take the softmax of the scores": (
                mixed(lambda q, k, r: q @ k.T + r)
            ),
            "the relative scores are left out: add them to the scores before the softmax": (
                lambda q, k, v, r: _attend(q, k, v, 0 * r)
            ),
            "the relative scores come after the softmax: add them to the scores before it": (
                mixed(lambda q, k, r: (q @ k.T).softmax(-1) + r)
            ),
            "each of the two scores has its own softmax: add them before it": (
                mixed(lambda q, k, r: (q @ k.T).softmax(-1) + r.softmax(-1))
            ),
            "the relative scores are subtracted: add them": (
                lambda q, k, v, r: _attend(q, k, v, r, sign=-1.0)
            ),
            "the relative scores multiply: add them to the scores": (
                mixed(lambda q, k, r: (q @ k.T * r).softmax(-1))
            ),
            "the relative scores are exchanged, row for column": (
                lambda q, k, v, r: _attend(q, k, v, r.T)
            ),
            "queries and keys are exchanged: row i of the scores is query i": (
                lambda q, k, v, r: _attend(k, q, v, r)
            ),
            "keys are mixed in the place of values": lambda q, k, v, r: _attend(q, k, k, r),
            "queries are mixed in the place of values": lambda q, k, v, r: _attend(q, k, q, r),
            "values are compared in the place of keys": lambda q, k, v, r: _attend(q, v, v, r),
            "keys and values are exchanged": lambda q, k, v, r: _attend(q, v, k, r),
            "queries are compared with queries: the keys are not used": (
                lambda q, k, v, r: _attend(q, q, v, r)
            ),
            "the scores alone are used, the queries and keys are left out": (
                mixed(lambda q, k, r: r.softmax(-1))
            ),
            "the weights are transposed: row i mixes the values for place i": (
                mixed(lambda q, k, r: (q @ k.T + r).softmax(-1).T)
            ),
            "the weights come back: mix the values with them": (
                lambda q, k, v, r: (q @ k.T + r).softmax(-1)
            ),
            "a sigmoid weighs each place by itself: softmax shares out one attention": (
                mixed(lambda q, k, r: (q @ k.T + r).sigmoid())
            ),
            "the softmax's sum runs over all pairs: each place shares out its own attention, "
            "so divide by the sum of its row": mixed(
                lambda q, k, r: (q @ k.T + r).exp() / (q @ k.T + r).exp().sum()
            ),
            "the value with the highest score alone is taken: mix them": (
                lambda q, k, v, r: v[(q @ k.T + r).argmax(-1)]
            ),
            "the values are added to the mixture: the equation gives the mixture alone": (
                lambda q, k, v, r: _attend(q, k, v, r) + v
            ),
            "places to the right are hidden, as in a causal model: this module sees both sides": (
                mixed(
                    lambda q, k, r: (
                        (q @ k.T + r)
                        .masked_fill(torch.ones_like(r).triu(1).bool(), -torch.inf)
                        .softmax(-1)
                    )
                )
            ),
        },
        where="softmax over the last axis of (queries · keysᵀ + relative), times the values",
    )
    return "one head: scores without a factor, softmax over what is looked at, values mixed"
