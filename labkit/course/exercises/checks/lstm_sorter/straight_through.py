"""Exercise 6.4: the check of ``straight_through``."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import as_tensor
from labkit.course.exercises.show import shown


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
    _one_of_equals(straight)
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


def _one_of_equals(straight: Guarded) -> None:
    """Where several tokens are equally probable any of them will do, one alone."""
    equal = torch.tensor([[0.25, 0.5, 0.25, 0.0], [0.25] * 4, [0.0, 0.5, 0.0, 0.5], [0.5] * 4])
    hot = as_tensor(straight(equal))
    for row, order in zip([] if hot is None else hot, equal, strict=False):
        ones = int((row > 0.5).sum())
        require(
            ones == 1,
            f"where tokens are equally probable, {shown(order)}, a row has {ones} ones: one of "
            "them is chosen, as argmax does",
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
