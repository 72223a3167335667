"""Exercise 6.1: the check of ``lstm_step``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _by_cell(x: Tensor, h: Tensor, m: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor) -> tuple:
    cell = nn.LSTMCell(len(x), len(h)).double().requires_grad_(False)
    cell.weight_ih.copy_(w_x)
    cell.weight_hh.copy_(w_h)
    cell.bias_ih.copy_(bias)
    cell.bias_hh.zero_()
    new_h, new_m = cell(x.double()[None], (h.double()[None], m.double()[None]))
    return new_h[0], new_m[0]


def _step(
    x: Tensor, h: Tensor, m: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, order: str = "ifgo",
    candidate: Callable = torch.tanh, gates: Callable = torch.sigmoid, show: Callable = torch.tanh,
    forget: Callable = lambda f, i: f, old: bool = False, result: str = "hm",
) -> tuple[Tensor, ...]:  # fmt: skip
    parts = dict(zip(order, (w_x @ x + w_h @ h + bias).chunk(4), strict=True))
    i, f, o = (gates(parts[name]) for name in "ifo")
    memory = forget(f, i) * m + i * candidate(parts["g"])
    outputs = {"h": o * show(m if old else memory), "m": memory, "o": o, "z": parts["o"]}
    return tuple(outputs[name] for name in result)


@exercise
def check_lstm_step(step: Guarded, draw: Draw) -> str:
    """``step``: x (D,), h (H,), m (H,), w_x (4H, D), w_h (4H, H), bias (4H,) → h, m."""
    cases = []
    for d, h in ((3, 2), (2, 5), (4, 4), (1, 1), (5, 1), (3, 8), (2, 2)):
        sizes = ((d,), (h,), (h,), (4 * h, d), (4 * h, h), (4 * h,))
        cases.append(tuple(draw.normal(*size) for size in sizes))
    nothing = (torch.ones(3), torch.zeros(2), torch.tensor([2.0, -1.0]))
    cases.append((*nothing, torch.zeros(8, 3), torch.zeros(8, 2), torch.zeros(8)))

    def wrong(**kinds: Any):
        return lambda *args: _step(*args, **kinds)

    def without(place: int):
        return lambda *args: _step(*args[:place], 0 * args[place], *args[place + 1 :])

    def identity(part: Tensor) -> Tensor:
        return part

    orders = {
        f"the four parts stand in the order i, f, g, o, not {', '.join(order)}": wrong(order=order)
        for order in ("figo", "ifog", "fgio", "gifo", "oifg", "iogf", "igfo", "fiog", "foig")
    }
    compare(
        step,
        cases,
        _by_cell,
        mistakes={
            "h and m are exchanged: return the hidden state first": wrong(result="mh"),
            "the candidate g goes through tanh; only i, f and o are sigmoids": (
                wrong(candidate=torch.sigmoid)
            ),
            "the candidate g goes through tanh, which is missing": wrong(candidate=identity),
            "i, f and o go through a sigmoid, g alone through tanh": wrong(gates=torch.tanh),
            "i, f and o go through a sigmoid, which is missing": wrong(gates=identity),
            "the hidden state is o · tanh(m): the tanh is missing": wrong(show=identity),
            "the hidden state is o · tanh(m), not a sigmoid of m": wrong(show=torch.sigmoid),
            "the hidden state is made of the old memory: h = o · tanh(m), with the new m": (
                wrong(old=True)
            ),
            **orders,
            "the old memory is weighed with 1 − i, as in a GRU: f is a gate of its own": (
                wrong(forget=lambda f, i: 1 - i)
            ),
            "the old memory is weighed with 1 − f: f says what is kept": (
                wrong(forget=lambda f, i: 1 - f)
            ),
            "the forget gate is left out: m' = f · m + i · g": (
                wrong(forget=lambda f, i: torch.ones_like(f))
            ),
            "the old memory is left out: m' = f · m + i · g": without(2),
            "the bias is left out": without(5),
            "the hidden state is left out: W_h h": without(1),
            "the input is left out: W_x x": without(0),
            "the output gate goes through a sigmoid, not tanh": (
                lambda *args: (
                    _step(*args, result="z")[0].tanh() * _step(*args)[1].tanh(),
                    _step(*args)[1],
                )
            ),
            "the four parts are interleaved: they stand below one another, one after the other": (
                lambda x, h, m, w_x, w_h, b: _step(
                    (w_x @ x + w_h @ h + b).reshape(-1, 4).T.flatten(),
                    h,
                    m,
                    torch.eye(len(b)),
                    0 * w_h,
                    0 * b,
                )
            ),
            "the old memory comes back: return the new one": (
                lambda *args: (_step(*args)[0], args[2])
            ),
            "the old hidden state comes back: return the new one": (
                lambda *args: (args[1], _step(*args)[1])
            ),
            "W_h is multiplied with the memory: with the hidden state": (
                lambda x, h, m, *rest: _step(x, m, m, *rest)
            ),
            "the bias is added twice: torch's cell has two, this step has one": (
                lambda *args: _step(*args[:5], 2 * args[5])
            ),
            "the output gate is returned in the place of the hidden state": wrong(result="om"),
            "the memory is missing: return h and m": lambda *args: _step(*args)[0],
        },
        where="m' = f · m + i · g and h' = o · tanh(m'), with the four parts in the order i, f, g, "
        "o (torch.nn.LSTMCell gives the same)",
    )
    return "one decoder step: equal to torch.nn.LSTMCell"
