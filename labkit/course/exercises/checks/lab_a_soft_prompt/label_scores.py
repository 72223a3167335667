"""Milestone A.4: the check of ``label_scores``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_a_soft_prompt.small_model import (
    WIDTH,
    SoftPrompt,
    frozen_model,
    next_piece,
    padded,
    some_rows,
)
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded


def _right(model: nn.Module, prompt: nn.Module, ids: Tensor, mask: Tensor, words: list) -> Tensor:
    """One text after the other, as long as it is."""
    rows = [row[:length].tolist() for row, length in zip(ids, mask.sum(1), strict=True)]
    return torch.stack([next_piece(model, prompt.vectors, row)[words] for row in rows])


def _logits(model, prompt, ids, mask) -> Tensor:
    """At every place of the padded batch: (B, P+T, V)."""
    inputs, longer = prompt(model.get_input_embeddings()(ids), mask)
    return model(inputs_embeds=inputs, attention_mask=longer).logits


def _at(place):
    """The scores read at another place: ``place(P, mask)`` gives one for each text."""

    def read(model, prompt, ids, mask, words):
        logits = _logits(model, prompt, ids, mask)
        places = place(len(prompt.vectors), mask)
        return logits[torch.arange(len(ids)), places].log_softmax(-1)[:, words]

    return read


def _as(change):
    """Something else made of the logits (B, V) at the right place."""

    def read(model, prompt, ids, mask, words):
        logits = _logits(model, prompt, ids, mask)
        places = len(prompt.vectors) + mask.sum(1) - 1
        return change(logits[torch.arange(len(ids)), places], words)

    return read


def _without_prompt(model, prompt, ids, mask, words):
    return _right(model, SoftPrompt(prompt.vectors[:0].detach()), ids, mask, words)


@exercise
def check_label_scores(label_scores: Guarded, draw: Draw) -> str:
    """``label_scores``: frozen model, prompt, ids (B, T), mask (B, T), C label ids → (B, C)."""
    cases: list[tuple[Any, ...]] = []
    for number, (length, count, words) in enumerate(
        [(3, 2, [4, 9]), (2, 4, [7, 2, 11]), (1, 1, [3, 1]), (4, 3, [29, 0]), (3, 5, [5, 6])]
    ):
        rows = some_rows(draw, count)
        rows[0] = rows[0] + [8] * (7 - len(rows[0]))  # the others are padded
        model = frozen_model(draw, number)
        cases.append((model, SoftPrompt(draw.normal(length, WIDTH)), *padded(rows, number), words))

    compare(
        label_scores,
        cases,
        _right,
        mistakes={
            "read at the last column, where shorter texts have padding: the answer follows the "
            "last piece of each text": _at(
                lambda p, m: torch.full_like(m[:, 0], p + m.shape[1] - 1)
            ),
            "the P virtual tokens were not counted: the last piece of a text stands at "
            "P + length − 1": _at(lambda p, m: m.sum(1) - 1),
            "read one place too early: the last piece of a text stands at P + length − 1": (
                _at(lambda p, m: p + m.sum(1) - 2)
            ),
            "read one place too late: the last piece of a text stands at P + length − 1": (
                _at(lambda p, m: (p + m.sum(1)).clamp(max=p + m.shape[1] - 1))
            ),
            "read at position 0": _at(lambda p, m: 0 * m[:, 0]),
            "these are logits: take log_softmax over the vocabulary": (
                _as(lambda logits, words: logits[:, words])
            ),
            "these are probabilities: take their logarithm (log_softmax)": (
                _as(lambda logits, words: logits.softmax(-1)[:, words])
            ),
            "the softmax is over the labels alone: take it over the vocabulary, then choose the "
            "labels": _as(lambda logits, words: logits[:, words].log_softmax(-1)),
            "the prompt has no part in it: give the model `inputs_embeds`, with the prompt in "
            "front": _without_prompt,
            "these are the scores of the whole vocabulary: choose the labels' columns": (
                _as(lambda logits, words: logits.log_softmax(-1))
            ),
            "the columns are in another order than `words`": (
                _as(lambda logits, words: logits.log_softmax(-1)[:, sorted(words)])
            ),
        },
        where="Embed the ids, put the prompt in front, read the logits at the last piece of each "
        "text, log_softmax over the vocabulary, then the columns of `words`",
    )
    for case in cases[:3]:
        _require_gradient(label_scores, case, draw)
    return "label scores: log-probabilities behind each text, with the gradient to the prompt"


def _require_gradient(label_scores: Guarded, case: tuple, draw: Draw) -> None:
    model, prompt = case[:2]
    scores = label_scores(*case)
    cut = "no gradient reaches the prompt"
    require(isinstance(scores, Tensor), f"{cut}: return a tensor")
    require(scores.requires_grad, f"{cut}: torch.no_grad(), detach(), .data and new tensors cut it")
    towards = draw.normal(*scores.shape)
    seen, expected = (
        torch.autograd.grad((result * towards).sum(), prompt.vectors, allow_unused=True)[0]
        for result in (scores, _right(*case))
    )
    require(seen is not None, f"{cut}: what comes back does not depend on `prompt.vectors`")
    require(
        torch.allclose(seen, expected, rtol=1e-3, atol=1e-4),
        "the gradient that reaches the prompt is not that of the scores: is a part of the way cut?",
    )
    require(
        not any(p.requires_grad for p in model.parameters()),
        "the model was unfrozen: its weights need no gradient",
    )
