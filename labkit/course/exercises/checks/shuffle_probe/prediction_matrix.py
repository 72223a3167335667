"""Exercise 4.2: the check of ``prediction_matrix``."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


class _Score:
    """Scores (N, C) that depend on which vector stands where."""

    def __init__(self, draw: Draw, length: int, rows: int, classes: int) -> None:
        self.weights = draw.normal(length, rows, classes)

    def __call__(self, vectors: Tensor) -> Tensor:
        return torch.einsum("p,pnc->nc", vectors.sum(1).to(self.weights), self.weights)


@exercise
def check_prediction_matrix(prediction_matrix: Guarded, draw: Draw) -> str:
    """``prediction_matrix``: score (P, D) → (N, C), prompt (P, D), orders → (R, N)."""
    shapes = [(4, 3, 5, 2, 3), (6, 2, 7, 4, 5), (3, 2, 1, 3, 2), (5, 3, 6, 2, 1), (4, 4, 4, 4, 4),
              (3, 2, 4, 300, 4)]  # fmt: skip
    cases = []
    for length, width, rows, classes, count in shapes:
        orders = [draw.order(length) for _ in range(count)]
        score = _Score(draw, length, rows, classes)
        cases.append((score, draw.normal(length, width), orders))
    cases[0][2][:] = [[1, 2, 3, 0], [2, 0, 3, 1], [3, 0, 1, 2]]

    def right(score, prompt, orders):
        rows = []
        for order in orders:
            scores = score(torch.stack([prompt[i] for i in order])).tolist()
            rows.append([max(range(len(row)), key=row.__getitem__) for row in scores])
        return torch.tensor(rows)

    def piled(score, prompt, orders):
        rows = []
        for order in orders:
            prompt = prompt[list(order)]
            rows.append(score(prompt).argmax(-1))
        return torch.stack(rows)

    def inverted(orders):
        return [torch.tensor(order).argsort().tolist() for order in orders]

    def scores(score, prompt, orders):
        return torch.stack([score(prompt[list(order)]) for order in orders])

    compare(
        prediction_matrix,
        cases,
        right,
        mistakes={
            "each order was applied to the result of the one before: start from the trained "
            "prompt": piled,
            "the orders were applied backwards: entry i says which token comes to place i, so the "
            "shuffled prompt is prompt[order]": lambda s, p, o: right(s, p, inverted(o)),
            "all rows are alike: was the prompt shuffled before it was scored?": (
                lambda s, p, o: right(s, p, [list(range(len(p)))] * len(o))
            ),
            "all rows are alike, those of the first order": (
                lambda s, p, o: right(s, p, [o[0]] * len(o))
            ),
            "all rows are alike, those of the last order": (
                lambda s, p, o: right(s, p, [o[-1]] * len(o))
            ),
            "only the last order is there: a row for each": lambda s, p, o: right(s, p, o[-1:]),
            "only the first order is there: a row for each": lambda s, p, o: right(s, p, o[:1]),
            "these are the scores: keep the class with the highest one": scores,
            "these are the highest scores: their class is asked for": (
                lambda s, p, o: scores(s, p, o).max(-1).values
            ),
            "these are the classes with the lowest score: take the highest": (
                lambda s, p, o: scores(s, p, o).argmin(-1)
            ),
            "argmax ran over the sentences: the classes are the last axis": (
                lambda s, p, o: scores(s, p, o).argmax(1)
            ),
            "argmax ran over the sentences: the classes are the last axis (1 of each (N, C))": (
                lambda s, p, o: torch.stack([s(p[list(x)]).argmax(0) for x in o])
            ),
            "a column per order, expected a row per order and a column per example": (
                lambda s, p, o: right(s, p, o).T
            ),
            "the columns of the prompt were shuffled: an order names its rows": (
                lambda s, p, o: torch.stack([s(p[:, list(x)]).argmax(-1) for x in o])
            ),
            "the rows stand in the order of the last order first": (
                lambda s, p, o: right(s, p, o[::-1])
            ),
            "the trained order has a row of its own in front: a row for each of the orders": (
                lambda s, p, o: right(s, p, [list(range(len(p))), *o])
            ),
            "only the first two classes are compared: any number of classes may come": (
                lambda s, p, o: scores(s, p, o)[..., :2].argmax(-1)
            ),
            "all rows are joined into one: a row per order": (
                lambda s, p, o: right(s, p, o).flatten()
            ),
            "only the first sentence is there: a column for each": (
                lambda s, p, o: right(s, p, o)[:, 0]
            ),
            "these are the mean scores: the class with the highest": (
                lambda s, p, o: scores(s, p, o).mean(-1)
            ),
            "these are the softmax of the scores: keep the class with the highest": (
                lambda s, p, o: scores(s, p, o).softmax(-1)
            ),
        },
        where="Row r holds the class with the highest of score(prompt[orders[r]]) for each "
        "sentence",
    )
    return "prediction matrix: one row per order, from the trained prompt each time"
