"""Exercise 8.5: the check of ``average_start``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, refuse_views
from labkit.course.exercises.guard import Guarded


def _best(similarities: list[float], k: int) -> list[int]:
    return sorted(range(len(similarities)), key=lambda i: -similarities[i])[:k]


def _mean_of(prompts: list[Tensor], weights: list[float], which: list[int]) -> Tensor:
    total = sum(weights[i] for i in which)
    return sum(weights[i] * prompts[i].double() for i in which) / total


@exercise
def check_average_start(average: Guarded, draw: Draw) -> str:
    """``average``: prompts, their similarities, k → weighted mean of the k most alike (P, D)."""
    cases = []
    for count, p, d, k in ((4, 3, 4, 2), (5, 2, 3, 3), (4, 3, 4, 1), (3, 1, 2, 3), (1, 2, 2, 1),
                           (7, 3, 3, 4), (6, 4, 1, 5), (5, 5, 5, 2)):  # fmt: skip
        alike = [round(0.05 + 0.13 * i + 0.1 * draw.plain.random(), 3) for i in range(count)]
        low = list(range(count - k))
        alike = [s - 1.0 if i in low and i % 2 else s for i, s in enumerate(alike)]
        mixed = draw.order(count)
        cases.append(([draw.normal(p, d) for _ in range(count)], [alike[i] for i in mixed], k))
    cases[0] = (cases[0][0], [0.1, 0.6, -0.5, 0.2], 2)
    for alike, k in (([0.3, 0.6, 0.3, 0.1], 3), ([0.2, 0.5, -0.1, 0.5, 0.5], 3)):  # equals
        cases.append(([draw.normal(3, 2) for _ in alike], alike, k))

    def right(prompts: list[Tensor], s: list[float], k: int) -> Tensor:
        return _mean_of(prompts, s, _best(s, k))

    def weighed(weights: Callable[[list[float]], list[float]]):
        def weighted(prompts, s, k):
            chosen = _best(s, k)
            values = weights([s[i] for i in chosen])
            return _mean_of([prompts[i] for i in chosen], values, list(range(len(chosen))))

        return weighted

    def softmax(values):
        return torch.tensor(values).double().softmax(0).tolist()

    def looked_up(prompts, s, k):
        top = sorted(s, reverse=True)[:k]
        return _mean_of([prompts[s.index(x)] for x in top], top, list(range(k)))

    def by_similarity(prompts, s, k):
        known = dict(zip(s, prompts, strict=True))
        top = sorted(known, reverse=True)[:k]
        return _mean_of([known[x] for x in top], top, list(range(len(top))))

    compare(
        average,
        cases,
        right,
        mistakes={
            "these are the first k prompts of the list, not the k most alike": (
                lambda p, s, k: _mean_of(p, s, list(range(k)))
            ),
            "these are the first k prompts of the list, each counting the same, not the k most "
            "alike": lambda p, s, k: _mean_of(p, [1.0] * len(p), list(range(k))),
            "these are the last k prompts of the list, not the k most alike": (
                lambda p, s, k: _mean_of(p, s, list(range(len(p) - k, len(p))))
            ),
            "the weights do not sum to 1: divide by their sum, or the start shrinks towards zero": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k))
            ),
            "divided by k, not by the sum of the similarities: the start shrinks": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k)) / k
            ),
            "divided by the sum of all similarities: by that of the k most alike": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k)) / sum(s)
            ),
            "all k count the same: weight each by its similarity": (
                weighed(lambda values: [1.0] * len(values))
            ),
            "the least alike were taken: sort from high to low": (
                lambda p, s, k: _mean_of(p, s, sorted(range(len(p)), key=lambda i: s[i])[:k])
            ),
            "k is not used: all prompts count": (
                lambda p, s, k: _mean_of(p, s, list(range(len(p))))
            ),
            "k is not used, and all prompts count the same": (
                lambda p, s, k: _mean_of(p, [1.0] * len(p), list(range(len(p))))
            ),
            "only the most alike is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, 1))
            ),
            "one too few is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, max(k - 1, 1)))
            ),
            "one too many is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, k + 1))
            ),
            "the size of the similarity without its sign decides: −0.5 is not alike": (
                lambda p, s, k: _mean_of(p, s, _best([abs(x) for x in s], k))
            ),
            "the size of the similarity without its sign decides and weighs: −0.5 is not alike": (
                lambda p, s, k: _mean_of(p, [abs(x) for x in s], _best([abs(x) for x in s], k))
            ),
            "of two prompts that are equally alike the first was taken twice: look prompts up by "
            "their place, not by their similarity": looked_up,
            "of two prompts that are equally alike one is lost: look prompts up by their place, "
            "not by their similarity": by_similarity,
            "the weights are a softmax of the similarities: they are the similarities, divided by "
            "their sum": weighed(softmax),
            "the weights are the squares of the similarities": (
                weighed(lambda values: [value**2 for value in values])
            ),
            "the weights stand beside other prompts: sort both alike": (
                weighed(lambda values: values[::-1])
            ),
            "the weights are the first k similarities, not those of the chosen prompts": (
                lambda p, s, k: _mean_of([p[i] for i in _best(s, k)], s[:k], list(range(k)))
            ),
            "one row is left: average over the prompts, not over their virtual tokens": (
                lambda p, s, k: right(p, s, k).mean(0)
            ),
            "the chosen prompts come back, weighted: sum them": (
                lambda p, s, k: torch.stack([s[i] * p[i] for i in _best(s, k)])
            ),
        },
        where="Of the k prompts with the highest similarity, Σ similarity · prompt / Σ similarity",
    )
    for case in cases:
        refuse_views(
            average,
            case,
            "what comes back shares its numbers with `prompts`, and whoever trains it changes the "
            "source: of one prompt, too, the mean is a tensor of its own (clone)",
        )
    return "average start: the k most alike, weights that sum to one"
