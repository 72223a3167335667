"""Exercise 3.3: the check of ``encode``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, arrives, compare
from labkit.course.exercises.guard import Guarded


def _through(embedding: Tensor, lstm: nn.LSTM, mlp: nn.Module) -> Tensor:
    return mlp(lstm(embedding[:, None])[0][:, 0])


def _network(draw: Draw, number: int, width: int, layers: int, out: int) -> tuple[nn.LSTM, Any]:
    torch.manual_seed(100 * draw.number + number)
    lstm = nn.LSTM(width, width // 2, num_layers=layers, bidirectional=True)
    for weights in lstm.parameters():
        weights.data.mul_(2.0)  # so that neighbours matter
    return lstm, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


@exercise
def check_encode(encode: Guarded, draw: Draw) -> str:
    """``encode``: embedding (P, W), bidirectional LSTM, MLP → virtual tokens (P, D)."""
    shapes = [(5, 6, 2, 8), (4, 4, 1, 3), (1, 4, 1, 4), (2, 2, 1, 2), (6, 6, 3, 6), (3, 4, 1, 5)]
    cases = [
        (draw.normal(count, width), *_network(draw, number, width, layers, out))
        for number, (count, width, layers, out) in enumerate(shapes)
    ]

    def half(e, lstm, keep):
        hidden = lstm(e)[0].clone()
        size = lstm.hidden_size
        hidden[:, size:] = 0 if keep == "forward" else hidden[:, size:]
        hidden[:, :size] = 0 if keep == "backward" else hidden[:, :size]
        return hidden

    def last(lstm, e):
        _, (hidden, _) = lstm(e)
        return torch.cat([hidden[-2], hidden[-1]])

    def exchanged(e, lstm):
        hidden = lstm(e)[0]
        return torch.cat([hidden[:, lstm.hidden_size :], hidden[:, : lstm.hidden_size]], 1)

    compare(
        encode,
        cases,
        _through,
        mistakes={
            "no row knows of the others: the P rows are one sequence, not a batch of P sequences "
            "of length 1 (nn.LSTM takes (P, W), or (P, 1, W), as one sequence)": (
                lambda e, lstm, mlp: mlp(lstm(e[None])[0][0])
            ),
            "there is no batch, take its axis out: the result has three axes": (
                lambda e, lstm, mlp: mlp(lstm(e[:, None])[0])
            ),
            "there is no batch, take its axis out: the result has three axes, and no row knows of "
            "the others, since the second axis is the batch": (
                lambda e, lstm, mlp: mlp(lstm(e[None])[0])
            ),
            "the result is as wide as the LSTM: the MLP brings it to width D": (
                lambda e, lstm, mlp: lstm(e)[0]
            ),
            "the LSTM is left out: the embedding goes through it first": (
                lambda e, lstm, mlp: mlp(e)
            ),
            "one row for the whole prompt: take the LSTM's output at each place, not its last "
            "state": lambda e, lstm, mlp: mlp(last(lstm, e)[None]),
            "one row for the whole prompt, without an axis for the places: take the LSTM's output "
            "at each place": lambda e, lstm, mlp: mlp(last(lstm, e)),
            "the LSTM's last output alone is used: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0][-1])
            ),
            "every row is the LSTM's last output: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0][-1:]).expand(len(e), -1)
            ),
            "the LSTM's outputs are averaged: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0].mean(0, keepdim=True)).expand(len(e), -1)
            ),
            "the direction from the back is set to zero: both count": (
                lambda e, lstm, mlp: mlp(half(e, lstm, "forward"))
            ),
            "the direction from the front is set to zero: both count": (
                lambda e, lstm, mlp: mlp(half(e, lstm, "backward"))
            ),
            "the two directions are exchanged: the LSTM's output has them in order": (
                lambda e, lstm, mlp: mlp(exchanged(e, lstm))
            ),
            "the embedding is added to the LSTM's output: the equation does not": (
                lambda e, lstm, mlp: mlp(lstm(e)[0] + e)
            ),
            "the rows run backwards": lambda e, lstm, mlp: _through(e, lstm, mlp).flip(0),
            "the embedding goes in backwards": lambda e, lstm, mlp: _through(e.flip(0), lstm, mlp),
            "the embedding goes in backwards, and the result is turned round: one sequence, from "
            "the front": lambda e, lstm, mlp: _through(e.flip(0), lstm, mlp).flip(0),
            "each row went through the LSTM by itself: the P rows are one sequence": (
                lambda e, lstm, mlp: mlp(torch.cat([lstm(row[None])[0] for row in e]))
            ),
        },
        where="The LSTM's output at each place, both directions, then the MLP: (P, D)",
    )
    for args in cases[:2]:

        def in_double(e: Tensor, *_: Any, args: tuple = args) -> Tensor:
            return _through(e, *(_as_double(part) for part in args[1:]))

        arrives(encode, args, 0, in_double, draw)
    return "encoded: P rows in one sequence, both directions, width D"


def _as_double(module: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(module).double()
