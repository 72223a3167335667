"""Checks of notebook 06_lstm_sorter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import as_tensor
from labkit.course.exercises.show import shown

# ---- 6.1 ----


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
    made = {"h": o * show(m if old else memory), "m": memory, "o": o, "z": parts["o"]}
    return tuple(made[name] for name in result)


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


# ---- 6.2 ----


@exercise
def check_gate(gate: Guarded, draw: Draw) -> str:
    """``gate``: encoded (P, D), hidden (D,), weight (D, D) → O_i (P,)."""
    cases = []
    for p, d in ((5, 3), (3, 3), (1, 4), (2, 6), (7, 2), (4, 4), (300, 2), (5, 3)):
        cases.append((draw.normal(p, d), draw.normal(d), draw.normal(d, d)))
    cases.append((20 * draw.normal(4, 3), 5 * draw.normal(3), 3 * draw.normal(3, 3)))
    cases.append((torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.ones(2),
                  torch.zeros(2, 2)))  # fmt: skip

    def right(encoded: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
        query = [sum(w * x for w, x in zip(row, hidden.tolist(), strict=True))
                 for row in weight.tolist()]  # fmt: skip
        scores = [sum(a * b for a, b in zip(row, query, strict=True)) for row in encoded.tolist()]
        return torch.tensor(scores, dtype=torch.float64).softmax(0)

    def soft(scores: Callable[[Tensor, Tensor, Tensor], Tensor]):
        return lambda e, h, w: scores(e, h, w).softmax(0)

    compare(
        gate,
        cases,
        right,
        mistakes={
            "these are scores; equation 10 takes their softmax": lambda e, h, w: e @ (w @ h),
            "a sigmoid for each token: the probabilities do not sum to 1, softmax over the virtual "
            "tokens": lambda e, h, w: (e @ (w @ h)).sigmoid(),
            "the weight is not used: the hidden state goes through it first": (
                soft(lambda e, h, w: e @ h)
            ),
            "hidden · weight where weight · hidden was asked for: transposed": (
                soft(lambda e, h, w: e @ (h @ w))
            ),
            "the products are divided by sqrt(D): equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(h) ** 0.5)
            ),
            "the products are divided by D: equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(h))
            ),
            "the products are divided by sqrt(P): equation 9 has no such factor here": (
                soft(lambda e, h, w: e @ (w @ h) / len(e) ** 0.5)
            ),
            "these are the logarithms of the probabilities": (
                lambda e, h, w: (e @ (w @ h)).log_softmax(0)
            ),
            "e to the power of the scores is not divided by its sum: softmax": (
                lambda e, h, w: (e @ (w @ h)).exp()
            ),
            "the softmax runs over each column before the products are summed: sum first": (
                lambda e, h, w: (e * (w @ h)).softmax(0).sum(1)
            ),
            "divided by their sum without e to the power of them: softmax": (
                lambda e, h, w: (e @ (w @ h)) / (e @ (w @ h)).sum()
            ),
            "the sign of the scores is turned: the best token gets the most": (
                soft(lambda e, h, w: -(e @ (w @ h)))
            ),
            "the choice comes back, one-hot: equation 10 gives the probabilities": (
                lambda e, h, w: nn.functional.one_hot((e @ (w @ h)).argmax(), len(e)).double()
            ),
            "the number of the best token comes back: equation 10 gives the probabilities": (
                lambda e, h, w: (e @ (w @ h)).argmax()
            ),
            "the cosine was taken: the products are not divided by the lengths": (
                soft(lambda e, h, w: nn.functional.cosine_similarity(e, (w @ h)[None], dim=1))
            ),
            "the query goes through tanh, which the equation does not have": (
                soft(lambda e, h, w: e @ (w @ h).tanh())
            ),
            "a column per token with one entry: (P,), not (P, 1)": (
                lambda e, h, w: (e @ (w @ h)).softmax(0)[:, None]
            ),
            "a softmax over one entry is always 1: it runs over the virtual tokens": (
                lambda e, h, w: torch.ones(len(e))
            ),
        },
        where="The softmax over p of encoded_p · (weight · hidden)",
    )
    return "selection gate: a probability for every virtual token"


# ---- 6.3 ----


def _left(scores: Tensor, chosen: list[int], value: float = -torch.inf) -> Tensor:
    kept = [value if i in chosen else score for i, score in enumerate(scores.double().tolist())]
    return torch.tensor(kept, dtype=torch.float64).softmax(0)


@exercise
def check_mask_chosen(masked: Guarded, draw: Draw) -> str:
    """``masked``: scores (P,), indices chosen so far → probabilities (P,)."""
    first = torch.tensor([3.0, 1.0, 2.0, 0.0])
    cases: list[tuple] = [(first, [0]), (first, []), (first, [2, 0, 1]), (torch.zeros(4), [0, 2])]
    cases += [(torch.tensor([-5.0, -9.0, -7.0]), [0]), (draw.normal(1), [])]
    for size in (2, 5, 6, 9, 300):
        cases.append((3 * draw.normal(size) - 2, draw.order(size)[: draw.whole(1, size - 1)]))
    cases.append((100 * draw.normal(5), draw.order(5)[:2]))
    cases.append((1e4 * draw.normal(5) + 1e6, draw.order(5)[:2]))

    def value(number: float):
        return lambda s, c: _left(s, c, number)

    def after(s: Tensor, c: list[int], divide: bool = False) -> Tensor:
        p = s.double().softmax(0)
        p[c] = 0
        return p / p.sum() if divide else p

    def scaled(s, c):
        kept = s.double().clone()
        kept[c] *= 0
        return kept.softmax(0)

    compare(
        masked,
        cases,
        _left,
        mistakes={
            "the rest does not sum to 1: mask before the softmax (with −∞), not after it": after,
            "a chosen token still has probability, as if it had not been chosen: the scores of "
            "`chosen` have to change": lambda s, c: s.double().softmax(0),
            "a chosen token's score should be −∞: a zero is a score like any other": value(0.0),
            "a chosen token's score should be −∞: a small number is a score like any other": (
                value(-1.0)
            ),
            "a chosen token's score should be −∞: −10 is a score like any other": value(-10.0),
            "a chosen token's score should be −∞: −100 is a score like any other": value(-100.0),
            "a chosen token's score should be −∞: −1000 is a score like any other": value(-1e3),
            "a chosen token's score should be −∞: −10,000 is a score like any other": value(-1e4),
            "a chosen token's score should be −∞: −1e6 is a score like any other": value(-1e6),
            "a chosen token's score should be −∞, and a small positive number is far from it": (
                value(1e-9)
            ),
            "a chosen token gets the lowest score, which is a score like any other: −∞": (
                lambda s, c: _left(s, c, float(s.min()))
            ),
            "it is turned round: the tokens that are *not* chosen yet share the probability": (
                lambda s, c: _left(s, [i for i in range(len(s)) if i not in c])
            ),
            "only the last choice is left out: all tokens of `chosen` have none": (
                lambda s, c: _left(s, c[-1:])
            ),
            "only the first choice is left out: all tokens of `chosen` have none": (
                lambda s, c: _left(s, c[:1])
            ),
            "the first tokens are left out, as many as were chosen: `chosen` names them": (
                lambda s, c: _left(s, list(range(len(c))))
            ),
            "the chosen tokens are gone from the result: they stay, with probability 0": (
                lambda s, c: s.double()[[i for i in range(len(s)) if i not in c]].softmax(0)
            ),
            "these are masked scores: the softmax is missing": (
                lambda s, c: torch.where(_left(s, c) > 0, s.double(), -torch.inf)
            ),
            "the rest shares evenly: each keeps its proportion": (
                lambda s, c: _left(torch.zeros(len(s)), c)
            ),
            "these are the logarithms of the probabilities": lambda s, c: _left(s, c).log(),
            "the chosen tokens' scores are halved: −∞ gives them no probability": (
                lambda s, c: torch.where(
                    torch.tensor([i in c for i in range(len(s))]), s / 2, s
                ).double().softmax(0)
            ),
        },
        where="Probability 0 for every token of `chosen`, and the softmax of the scores of the "
        "others",
    )  # fmt: skip
    if masked.raised(first, [1]) is None:
        exact = as_tensor(masked(first, [1]))
        require(
            exact is not None and float(exact[1]) == 0,
            "a chosen token keeps a tiny probability: its score should be −∞",
        )
    return "masked: a chosen token can't be chosen again"


# ---- 6.4 ----


def _one_hot(order: Tensor) -> Tensor:
    rows = [[float(j == row.index(max(row))) for j in range(len(row))] for row in order.tolist()]
    return torch.tensor(rows, dtype=torch.float64)


@exercise
def check_straight_through(straight: Guarded, draw: Draw) -> str:
    """``straight``: Order (P, P) → one-hot going forward, gradient of Order going back."""
    # many places: at some of them (hot + order) − order is off by a rounding error
    orders = [draw.uniform(p, p).mul(4).softmax(-1) for p in (40, 3, 5, 1, 8)]
    orders.append(torch.tensor([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]]))
    orders.append(draw.normal(6, 6).softmax(-1))
    _exactly_hot(straight, [order.clone().requires_grad_() for order in orders])
    compare(
        straight,
        [(order,) for order in orders],
        _one_hot,
        mistakes={
            "the probabilities come back: going forward it should be one-hot": lambda o: o,
            "the columns are one-hot: each place (row) chooses one token": (
                lambda o: _one_hot(o.T).T
            ),
            "the chosen probabilities stand where ones should": lambda o: _one_hot(o) * o,
            "the lowest probability was chosen": lambda o: _one_hot(-o),
            "the numbers of the choices come back: rows of zeros with a one": (
                lambda o: o.argmax(-1)
            ),
            "one entry of the whole matrix is one: each row has one": (
                lambda o: (o == o.max()).double()
            ),
            "entries above a half are ones: the largest of each row is chosen, whatever it is": (
                lambda o: (o > 0.5).double()
            ),
            "the rounded probabilities come back: the largest of each row is chosen": torch.round,
            "rows and columns are exchanged": lambda o: _one_hot(o).T,
        },
        where="Going forward each row is zeros with a one where it is largest",
    )
    for order in orders:
        _gradient_of_order(straight, order, draw)
    return "straight through: exactly one-hot forward, the gradient of Order back"


def _exactly_hot(straight: Guarded, orders: list[Tensor]) -> None:
    for order in orders:
        hot = straight(order)
        if not isinstance(hot, Tensor) or hot.shape != order.shape:
            return
        near = torch.allclose(hot.double(), _one_hot(order), atol=1e-4)
        exact = torch.equal(hot.detach().double(), _one_hot(order))
        require(
            exact or not near,
            "nearly one-hot is not one-hot: (O_h + Order) − Order rounds; take the difference "
            f"first (an entry is {float((hot.double() - _one_hot(order)).abs().max()):.1e} off)",
        )


def _gradient_of_order(straight: Guarded, order: Tensor, draw: Draw) -> None:
    leaf = order.clone().requires_grad_()
    hot = straight(leaf)
    require(isinstance(hot, Tensor), f"no gradient comes back from {shown(hot)}: give a tensor")
    require(
        hot.requires_grad,
        "no gradient comes back: one_hot and argmax cut it, so the probabilities have to be added "
        "and taken away again, one of the two detached",
    )
    towards = draw.normal(*order.shape).to(hot.dtype)
    (gradient,) = torch.autograd.grad((towards * hot).sum(), leaf, allow_unused=True)
    require(
        gradient is not None,
        "no gradient comes back: the result has one of its own, which does not lead to Order",
    )
    hints = (
        (-towards, "the gradient has the opposite sign, as equation 14 is printed: + Order − "
         "detach(Order)"),
        (0 * towards, "the gradient that comes back is zero: one of the two, added and taken away, "
         "has to be detached"),
        (2 * towards, "the gradient is twice that of Order: add it once"),
        (towards * _one_hot(order), "the gradient reaches the chosen entries alone: it should pass "
         "as if the result were Order itself"),
        (towards * order, "the gradient is multiplied by Order: it should pass as if the result "
         "were Order itself"),
    )  # fmt: skip
    for wrong, hint in hints:
        if order.numel() > 1 and torch.allclose(gradient, wrong.to(gradient), atol=1e-5):
            require(False, hint)
    require(
        torch.allclose(gradient, towards.to(gradient), atol=1e-5),
        "the gradient should pass as if the result were Order itself; for the weighted sum of the "
        f"result with {shown(towards.flatten()[:3])} … it begins {shown(gradient.flatten()[:3])} …",
    )
