"""Exercise 9.4: the check of ``surest``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Adapted, Draw, compare
from labkit.course.exercises.guard import Guarded

Pairs = list[tuple[int, int]]


def _surest(
    scores: Tensor,
    k: int,
    sureness: Callable[[Tensor], Tensor] = lambda s: s.softmax(-1).max(-1).values,
    labels: Callable[[Tensor], Tensor] = lambda s: s.argmax(-1),
    best_first: bool = True,
) -> Pairs:
    sure, predicted = sureness(scores.double()), labels(scores).tolist()
    chosen = []
    for label in range(scores.shape[1]):
        of_label = [row for row, name in enumerate(predicted) if name == label]
        of_label.sort(key=lambda row: float(sure[row]), reverse=best_first)
        chosen += [(row, label) for row in of_label[:k]]
    return sorted(chosen)


def _in_order(answer: Guarded, *args: Any) -> Any:
    """The answer's pairs sorted: the text leaves their order open."""
    raw = answer(*args)
    pairs = raw.tolist() if isinstance(raw, Tensor) else raw
    try:
        return sorted((int(row), int(label)) for row, label in pairs)
    except (TypeError, ValueError):
        return raw


def _cases(draw: Draw) -> list[tuple[Tensor, int]]:
    first = torch.tensor([[4.0, 1.0], [9.0, 8.0], [0.5, 2.0], [1.0, 1.2], [3.0, -1.0], [5.0, 7.0]])
    cases = [(first, 1), (first, 2), (first, 10)]
    for texts, classes, k in (
        (30, 2, 5),
        (50, 3, 4),
        (12, 4, 2),
        (8, 2, 8),
        (1, 3, 1),
        (90, 4, 12),
        (60, 5, 5),
    ):
        cases.append((1.5 * draw.normal(texts, classes) + 6 * draw.normal(texts, 1), k))
    lonely = draw.normal(9, 3)
    lonely[:, 1] -= 20.0  # a label that no text gets
    cases.append((lonely, 3))
    again = draw.normal(6, 3)
    cases.append((torch.cat([again, again]), 12))  # the same sentence twice: both are kept
    return cases


@exercise
def check_surest(surest: Guarded, draw: Draw) -> str:
    """``surest``: scores (N, C) and k → (row, label) of the k surest texts of each label."""

    def by(sureness: Callable[[Tensor], Tensor]):
        return lambda scores, k: _surest(scores, k, sureness)

    def overall(scores, k):
        p = scores.double().softmax(-1)
        rows = p.max(-1).values.argsort(descending=True)[:k].tolist()
        return sorted((row, int(p[row].argmax())) for row in rows)

    def overall_as_many(scores, k):
        return overall(scores, k * scores.shape[1])

    def by_column(scores, k):
        p = scores.double().softmax(-1)
        return sorted(
            (int(row), label)
            for label in range(p.shape[1])
            for row in p[:, label].topk(min(k, len(p))).indices
        )

    def by_raw_column(scores, k):
        return sorted(
            (int(row), label)
            for label in range(scores.shape[1])
            for row in scores[:, label].topk(min(k, len(scores))).indices
        )

    def gap(scores: Tensor) -> Tensor:
        two = scores.topk(2, -1).values
        return two[:, 0] - two[:, 1]

    def of_probabilities(scores: Tensor) -> Tensor:
        return gap(scores.softmax(-1))

    def certainty(scores: Tensor) -> Tensor:
        p = scores.softmax(-1)
        return (p * p.log()).sum(-1)

    def by_sureness(scores: Tensor, k: int, twice: bool) -> Pairs:
        sure, labels = scores.double().softmax(-1).max(-1)
        chosen = []
        for row, label in _surest(scores, k):
            equals = ((sure == sure[row]) & (labels == label)).nonzero()[:, 0].tolist()
            chosen.append((equals[0] if twice else equals[-1], label))
        return sorted(chosen if twice else set(chosen))

    compare(
        Adapted(surest, _in_order),
        _cases(draw),
        _surest,
        mistakes={
            "sureness was read off the scores themselves: a text's scores have a level of their "
            "own, softmax over its labels takes it out": by(lambda s: s.max(-1).values),
            "sureness was read off a softmax over the texts: it runs over the labels of a text": (
                by(lambda s: s.softmax(0).max(-1).values)
            ),
            "sureness is the probability of the label, not its lead over the next score": by(gap),
            "sureness is the probability of the label, not its lead over the next probability": (
                by(of_probabilities)
            ),
            "sureness is the probability of the label, not the entropy of all of them": (
                by(certainty)
            ),
            "of two texts of which the model is equally sure the first was taken twice: look texts "
            "up by their row, not by their probability": lambda s, k: by_sureness(s, k, True),
            "of two texts of which the model is equally sure one is lost: look texts up by their "
            "row, not by their probability": lambda s, k: by_sureness(s, k, False),
            "the least sure ones were kept: the surest": (
                lambda s, k: _surest(s, k, best_first=False)
            ),
            "the first ones of each label were kept: the surest": by(
                lambda s: -torch.arange(len(s))
            ),
            "the k surest of all texts were kept: k of *each* label, or one label fills the lot": (
                overall
            ),
            "the surest of all texts were kept, k times the number of labels: k of *each* label, "
            "or one label fills the lot": overall_as_many,
            "every label got k texts, whichever label they have: only texts whose highest score it "
            "is": by_column,
            "every label got the k texts that score highest on it, whichever label they have: "
            "only texts whose highest score it is, by probability": by_raw_column,
            "the label is the one with the lowest score: the highest": (
                lambda s, k: _surest(s, k, labels=lambda x: x.argmin(-1))
            ),
            "row and label are exchanged: (row, label)": (
                lambda s, k: sorted((label, row) for row, label in _surest(s, k))
            ),
            "one too few of each label is kept": lambda s, k: _surest(s, k - 1),
            "one too many of each label is kept": lambda s, k: _surest(s, k + 1),
            "all texts are kept: the k surest of each label": lambda s, k: _surest(s, len(s)),
        },
        where="For each label: among the texts with their highest score there, the k with the "
        "highest probability, as (row, label)",
    )
    return "pseudo-labels: the surest of each label, by probability"
