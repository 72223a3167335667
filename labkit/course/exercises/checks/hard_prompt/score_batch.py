"""Exercise 1.5: the check of ``score_batch``."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _scores(logits: Tensor, mask: Tensor, labels: list[int], shift: int = 0) -> Tensor:
    rows = []
    for row, ones in zip(logits, mask, strict=True):
        last = max(0, min(int(ones.sum()) - 1 + shift, len(row) - 1))
        at = row[last].double()
        rows.append(torch.stack([at[label] - torch.logsumexp(at, 0) for label in labels]))
    return torch.stack(rows)


def _rows_at_answer(logits: Tensor, mask: Tensor) -> Tensor:
    return logits[torch.arange(len(logits)), mask.sum(1) - 1]


def _padded(draw: Draw, lengths: list[int], width: int) -> tuple[Tensor, Tensor]:
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    return 2 * draw.normal(len(lengths), longest, width), mask


@exercise
def check_score_batch(score_batch: Guarded, draw: Draw) -> str:
    """``score_batch``: logits (B, T, V), mask (B, T), label ids → log-probabilities (B, C)."""
    shapes = [
        ([3, 5, 2], 11, [7, 2]), ([6, 1, 4, 2], 13, [12, 0, 5]), ([1], 7, [3, 6]), ([4], 9, [8]),
        ([2, 2], 6, [1, 0, 5, 4]), ([300, 270, 5], 6, [2, 4]), ([3, 4, 4, 1, 2], 400, [300, 399]),
        ([draw.whole(1, 6) for _ in range(4)], 10, draw.order(10)[:3]),
        ([draw.whole(1, 6) for _ in range(5)], 5, draw.order(5)),
    ]  # fmt: skip
    cases = [(*_padded(draw, lengths, width), labels) for lengths, width, labels in shapes]
    compare(
        score_batch,
        cases,
        _scores,
        mistakes={
            "the scores were read at the last column, which is padding in the shorter rows: read "
            "at the last position whose mask is 1": (
                lambda x, m, c: x[:, -1].log_softmax(-1)[:, c]
            ),
            "the scores were read at position 0: the answer comes at the end": (
                lambda x, m, c: x[:, 0].log_softmax(-1)[:, c]
            ),
            "the shorter rows were read one position behind the text: n ones end at position "
            "n − 1": lambda x, m, c: _scores(x, m, c, 1),
            "one position behind the text: n ones end at position n − 1, and the longest row has "
            "no position n": (
                lambda x, m, c: x[torch.arange(len(x)), m.sum(1)].log_softmax(-1)[:, c]
            ),
            "the scores were read one position too early: n ones end at position n − 1": (
                lambda x, m, c: x[torch.arange(len(x)), m.sum(1) - 2].log_softmax(-1)[:, c]
            ),
            "the scores were read one position too early: the last piece of the text says what "
            "comes next": lambda x, m, c: _scores(x, m, c, -1),
            "all rows were read where the first one ends: each has its own last position": (
                lambda x, m, c: x[:, int(m[0].sum()) - 1].log_softmax(-1)[:, c]
            ),
            "all rows were read where the shortest one ends: each has its own last position": (
                lambda x, m, c: x[:, int(m.sum(1).min()) - 1].log_softmax(-1)[:, c]
            ),
            "these are logits; a log-probability subtracts the logsumexp over the whole "
            "vocabulary": lambda x, m, c: _rows_at_answer(x, m)[:, c],
            "these are probabilities: take their logarithm (log_softmax)": (
                lambda x, m, c: _rows_at_answer(x, m).softmax(-1)[:, c]
            ),
            "the softmax runs over the label columns alone: take it over the vocabulary, then "
            "pick the columns": lambda x, m, c: _rows_at_answer(x, m)[:, c].log_softmax(-1),
            "the softmax runs over the label columns alone, and its logarithm is missing": (
                lambda x, m, c: _rows_at_answer(x, m)[:, c].softmax(-1)
            ),
            "the softmax runs over another axis than the vocabulary, over the sentences": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(0)[:, c]
            ),
            "the softmax runs over another axis than the vocabulary, over the sentences, and its "
            "logarithm is missing": lambda x, m, c: _rows_at_answer(x, m).softmax(0)[:, c],
            "the softmax runs over another axis than the vocabulary, over the positions": (
                lambda x, m, c: _rows_at_answer(x.log_softmax(1), m)[:, c]
            ),
            "the logarithm is taken twice": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(-1).log_softmax(-1)[:, c] * 2
            ),
            "log-probabilities are negative: the sign has changed": (
                lambda x, m, c: -_scores(x, m, c)
            ),
            "one row per label comes back, expected one row per sentence: (B, C)": (
                lambda x, m, c: _scores(x, m, c).T
            ),
            "the columns are sorted by id: they follow the order of `labels`": (
                lambda x, m, c: _scores(x, m, sorted(c))
            ),
            "the columns run 0, 1, …: take those of `labels`": (
                lambda x, m, c: _scores(x, m, list(range(len(c))))
            ),
            "all columns of the vocabulary are there: pick those of `labels`": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(-1)
            ),
            "this is the mean over all positions: read at the last one whose mask is 1": (
                lambda x, m, c: x.log_softmax(-1).mean(1)[:, c]
            ),
            "this is the mean over all positions of the text: read at the last one": (
                lambda x, m, c: ((x.log_softmax(-1) * m[..., None]).sum(1) / m.sum(1)[:, None])[
                    :, c
                ]
            ),
            "this is the sum over all positions of the text: read at the last one": (
                lambda x, m, c: (x.log_softmax(-1) * m[..., None]).sum(1)[:, c]
            ),
        },
        where="scores[b, c] is the log-softmax over the vocabulary at the last position of row b "
        "whose mask is 1, in column labels[c]",
    )
    return "scored: log-probabilities at the answer slot, padding without effect"
