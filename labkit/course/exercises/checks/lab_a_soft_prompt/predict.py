"""Milestone A.7: the check of ``predict``."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_a_soft_prompt.small_model import (
    WIDTH,
    Collate,
    Parts,
    SoftPrompt,
    batch_scores,
    frozen_model,
    next_piece,
    some_rows,
)
from labkit.course.exercises.compare import Adapted, Draw, compare, require
from labkit.course.exercises.guard import Guarded


def _scores(model, prompt, rows, words) -> list[list[float]]:
    with torch.no_grad():
        return [next_piece(model, prompt.vectors, row)[words].tolist() for row in rows]


def _best(scores: list[list[float]]) -> list[int]:
    return [max(range(len(row)), key=lambda label: row[label]) for row in scores]


def _right(parts, model, prompt, rows, words, pad, size) -> list[int]:
    return _best(_scores(model, prompt, rows, words))


def _predicted(sizes: list[int], predict: Guarded, parts, model, prompt, rows, words, pad, size):
    """What an answer gives; how its batches look, and whether it keeps what gradients need.

    Args:
        sizes: gets the number of texts in the largest batch.
    """
    seen: list[tuple[int, bool]] = []

    def label_scores(model, prompt, ids, mask, words) -> Tensor:
        seen.append((len(ids), torch.is_grad_enabled()))
        return batch_scores(model, prompt.vectors, ids, mask, words)

    collate = Collate()
    parts = Parts(collate=collate, label_scores=label_scores)
    result = predict(parts, model, prompt, rows, words, pad, size)
    require(
        not any(kept for _, kept in seen),
        "scoring keeps what only gradients need, and runs out of memory on a whole split: do it "
        "inside torch.no_grad()",
    )
    largest = max((count for count, _ in seen), default=0)
    require(
        largest <= size,
        f"{largest} texts are scored at once where `size` is {size}: a whole split fits into no "
        "memory; go through it in batches",
    )
    sizes.append(largest)
    collate.require_pad(pad)
    return result


@exercise(overtime="does the loop go on to the next batch?")
def check_predict(predict: Guarded, draw: Draw) -> str:
    """``predict``: parts, model, prompt, rows, label ids, pad, size → a label for each row."""
    cases = []
    for number, (count, words, size) in enumerate(
        [(7, [4, 9], 3), (4, [7, 2, 11], 2), (1, [3, 1], 8), (6, [29, 0], 1), (9, [5, 6, 8], 4)]
    ):
        model, prompt = frozen_model(draw, number), SoftPrompt(draw.normal(2, WIDTH))
        rows = some_rows(draw, count)
        while len({*_right(None, model, prompt, rows, words, 0, 1)}) < min(2, count):
            rows = some_rows(draw, count)
        cases.append((Parts(), model, prompt, rows, words, number, size))

    def by_length(parts, model, prompt, rows, words, pad, size):
        return _right(parts, model, prompt, sorted(rows, key=len), words, pad, size)

    def by_length_down(parts, model, prompt, rows, words, pad, size):
        return _right(parts, model, prompt, sorted(rows, key=len, reverse=True), words, pad, size)

    sizes: list[int] = []
    compare(
        Adapted(predict, functools.partial(_predicted, sizes)),
        cases,
        _right,
        mistakes={
            "the last, shorter batch is missing: a label for each row": (
                lambda *a: _right(*a)[: len(a[3]) // a[6] * a[6]]
            ),
            "only the first batch is predicted: go on to the end": lambda *a: _right(*a)[: a[6]],
            "only the last batch comes back: collect the labels of all": (
                lambda *a: _right(*a)[(len(a[3]) - 1) // a[6] * a[6] :]
            ),
            "these are the least likely labels: the highest score wins": (
                lambda parts, model, prompt, rows, words, pad, size: _best(
                    [[-s for s in row] for row in _scores(model, prompt, rows, words)]
                )
            ),
            "these are ids of the label words: return their places in `words`": (
                lambda *a: [a[4][label] for label in _right(*a)]
            ),
            "these are scores: return the place of the highest": (
                lambda parts, model, prompt, rows, words, pad, size: _scores(
                    model, prompt, rows, words
                )
            ),
            "one list for each batch: make one of them all": lambda *a: [
                _right(*a)[i : i + a[6]] for i in range(0, len(a[3]), a[6])
            ],
            "the rows were sorted by length, and the labels not put back into their order": (
                by_length
            ),
            "the rows were sorted by length, the longest first, and the labels not put back": (
                by_length_down
            ),
        },
        where="For each row, in their order, the place of the highest of its label scores",
    )
    require(
        max(sizes) > 1,
        "the texts are scored one at a time: a batch of `size` takes hardly longer than one text",
    )
    return "predictions: a label for each row, in their order, without gradients"
