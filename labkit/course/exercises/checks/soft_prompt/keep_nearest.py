"""Exercise 2.6: the check of ``keep_nearest``, a prompt that reads as a sentence *and* learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, read_result, require
from labkit.course.exercises.guard import CheckFailed, Guarded

_STEPS, _PACE = 30, 0.3
_TEXTS, _WIDTH, _ENTRIES, _ROWS = 120, 6, 24, 4

_DISTRACTION = 0.15
"""Spread of what the small model's scores hold beside the prompt: a move too small drowns in it."""

_ENOUGH = 0.8

Case = tuple[Tensor, Tensor, Tensor]


@exercise(overtime="a row goes back towards its word: does each round bring it nearer?")
def check_keep_nearest(keep: Guarded, draw: Draw) -> str:
    """``keep``: rows (P, D), ids (P,), table (V, D) → (P, D) nearest, by cosine, to their words."""
    cases = _cases(draw)
    results = [_read(keep, *case) for case in cases]
    for case, result in zip(cases, results, strict=True):
        _stay(case, result, lambda: _cause(cases, results))
    for _ in range(3):
        _learns(keep, draw)
    return "each row reads as its word, and the prompt learns all the same"


def _cases(draw: Draw) -> list[Case]:
    """Rows that have stayed, that have left a little, and that stand on other words."""
    cases = []
    for size, width, count in ((3, 2, 1), (12, 4, 5), (24, 6, 4), (300, 6, 6), (6, 4, 6)):
        table = draw.normal(size, width)
        table = table * torch.tensor([0.3 + 4 * draw.plain.random() for _ in range(size)])[:, None]
        ids = torch.tensor([draw.whole(0, size - 1) for _ in range(count)])
        others = table[(ids + 1) % size]
        away = draw.normal(count, width)
        for rows in (table[ids] + 0.01 * away, table[ids] + 2 * away, others, 3 * others + away):
            cases.append((rows, ids, table))
    return cases


def _cosines(rows: Tensor, table: Tensor) -> Tensor:
    rows, table = rows.double(), table.double()
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def _stays(scores: Tensor, ids: Tensor) -> Tensor:
    """Whether each row's own entry has the highest score, to the last digits: (P,)."""
    return scores.gather(1, ids[:, None])[:, 0] >= scores.max(1).values - 1e-6


def _read(keep: Guarded, rows: Tensor, ids: Tensor, table: Tensor) -> Tensor:
    result = read_result(keep, (rows, ids, table), rows).detach().float()
    require(bool(torch.isfinite(result).all()), "a row is not a number any more")
    return result


def _stay(case: Case, result: Tensor, cause: Callable[[], str] = str) -> None:
    """Fail unless each row is nearest to its word."""
    _, ids, table = case
    cosines = _cosines(result, table)
    stays = _stays(cosines, ids)
    if not stays.all():
        row = int((~stays).nonzero()[0])
        seen = (
            f"Row {row} is nearest to entry {int(cosines[row].argmax())} and should be to "
            f"{int(ids[row])}, its word"
        )
        raise CheckFailed(". ".join(filter(None, (cause(), seen))))


def _halfway(rows: Tensor, ids: Tensor, table: Tensor) -> Tensor:
    stays = _stays(_cosines(rows, table), ids)[:, None]
    return torch.where(stays, rows, (rows + table[ids]) / 2)


def _cause(cases: list[Case], results: list[Tensor]) -> str:
    """What explains all results, where some row is nearest to another word; else nothing."""

    def always(holds: Callable[..., Any]) -> bool:
        return all(bool(holds(*case, result)) for case, result in zip(cases, results, strict=True))

    def gives(mistake: Callable[[Tensor, Tensor, Tensor], Tensor]) -> bool:
        return always(
            lambda *seen: torch.allclose(seen[3], mistake(*seen[:3]), atol=1e-4, rtol=1e-4)
        )

    if gives(lambda rows, ids, table: rows):
        return "the rows come back as they went in: those that left have to go back"
    if gives(lambda rows, ids, table: table[_cosines(rows, table).argmax(1)]):
        return "each row is put on the word that it is nearest to: its own is the one in `ids`"
    if gives(_halfway):
        return "half of the way once is not always enough: look again, until its word is nearest"
    if gives(lambda rows, ids, table: table[: len(ids)]):
        return "these are other words: row p belongs to entry `ids[p]`"
    if always(lambda rows, ids, table, seen: _stays(-torch.cdist(seen, table), ids).all()):
        return "near by distance, and yet not by cosine, which does not look at lengths"
    return ""


def _learns(keep: Guarded, draw: Draw) -> None:
    """A small model is trained through the answer: its words are kept, its accuracy goes up."""
    table, texts = draw.normal(_ENTRIES, _WIDTH), draw.normal(_TEXTS, _WIDTH)
    ids = torch.tensor(draw.order(_ENTRIES)[:_ROWS])
    turn, _ = torch.linalg.qr(draw.normal(_WIDTH, _WIDTH))
    labels = (texts @ draw.normal(_WIDTH) > 0).float()
    beside = _DISTRACTION * draw.normal(_TEXTS)

    def scores(rows: Tensor) -> Tensor:
        return texts @ turn @ (rows - table[ids]).mean(0) + beside  # at the words: `beside` alone

    def trained(hold: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
        rows = table[ids].clone()
        for _ in range(_STEPS):
            leaf = rows.requires_grad_()
            loss = nn.functional.binary_cross_entropy_with_logits(scores(leaf), labels)
            (gradient,) = torch.autograd.grad(loss, leaf)
            step = _PACE * nn.functional.normalize(gradient, dim=-1)
            rows = hold((rows - step).detach(), ids, table).detach().clone()
        return float(((scores(rows) > 0) == labels).float().mean())

    words = trained(lambda rows, ids, table: table[ids])
    free = trained(lambda rows, ids, table: rows)

    results = []

    def answered(rows: Tensor, ids: Tensor, table: Tensor) -> Tensor:
        results.append(_read(keep, rows, ids, table))
        _stay((rows, ids, table), results[-1])
        return results[-1]

    held = trained(answered)
    why = "the rows stay with their words, but hardly anything is learnt"
    if all(torch.allclose(result, table[ids]) for result in results):
        why = "every row is put back on its word, and nothing can be learnt"
    require(
        held >= _ENOUGH,
        f"{why}: a small model trained through `keep_nearest` is right on {held:.0%} of its texts, "
        f"with rows left free on {free:.0%}, with the words alone on {words:.0%}. A row may go as "
        "far as its word stays the nearest",
    )
