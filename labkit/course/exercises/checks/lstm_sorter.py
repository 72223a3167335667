"""Checks of notebook 06_lstm_sorter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_lstm_step(step: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """``step``: x (D,), h (H,), m (H,), w_x (4H, D), w_h (4H, H), bias (4H,) → h, m."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 2)
    x, h, m = torch.randn(3), torch.randn(2), torch.randn(2)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh]
    with torch.no_grad():
        new_h, new_m = step(x, h, m, *weights)
        expected_h, expected_m = (part[0] for part in cell(x[None], (h[None], m[None])))
        assert_shape("h", new_h, (2,))
        assert_shape("m", new_m, (2,))
        if torch.allclose(new_h, expected_m) and torch.allclose(new_m, expected_h):
            raise AssertionError("h and m are exchanged: return the hidden state first")
        gates = weights[0] @ x + weights[1] @ h + weights[2]
        i, f, _g, o = (part.sigmoid() for part in gates.chunk(4))
        if torch.allclose(new_m, f * m + i * gates.chunk(4)[2].sigmoid()):
            raise AssertionError("the candidate g goes through tanh; only i, f and o are sigmoids")
        assert torch.allclose(new_m, expected_m, atol=1e-5), (
            "the memory differs from torch.nn.LSTMCell's: m = f · m + i · g, with the four parts "
            "in the order i, f, g, o"
        )
        if torch.allclose(new_h, o * new_m, atol=1e-5):
            raise AssertionError("the hidden state is o · tanh(m): the tanh is missing")
        assert torch.allclose(new_h, expected_h, atol=1e-5), (
            "the hidden state differs from torch.nn.LSTMCell's: h = o · tanh(m), with the new m"
        )
    passed("one decoder step: equal to torch.nn.LSTMCell")


@exercise
def check_gate(gate: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """``gate``: encoded (P, D), hidden (D,), weight (D, D) → O_i (P,)."""
    random = torch.Generator().manual_seed(0)
    encoded, weight = torch.randn(5, 3, generator=random), torch.randn(3, 3, generator=random)
    hidden = torch.randn(3, generator=random)
    chosen = gate(encoded, hidden, weight)
    assert_shape("the result", chosen, (5,), "One probability per virtual token.")
    scores = encoded @ (weight @ hidden)
    if torch.allclose(chosen, scores, atol=1e-5):
        raise AssertionError("these are scores; equation 10 takes their softmax")
    assert abs(chosen.sum().item() - 1) < 1e-5, (
        f"the probabilities sum to {chosen.sum().item():.3f}: softmax over the virtual tokens"
    )
    if torch.allclose(chosen, (encoded @ hidden).softmax(0), atol=1e-5):
        raise AssertionError("the weight is not used: the hidden state goes through it first")
    if torch.allclose(chosen, (encoded @ (hidden @ weight)).softmax(0), atol=1e-5):
        raise AssertionError("hidden · weight where weight · hidden was asked for: transposed")
    assert torch.allclose(chosen, scores.softmax(0), atol=1e-5), (
        "wrong probabilities: softmax over p of encoded_p · (weight · hidden)"
    )
    assert torch.allclose(gate(encoded.flip(0), hidden, weight), chosen.flip(0), atol=1e-6), (
        "turning the tokens round should only turn the probabilities round"
    )
    passed("selection gate: a probability for every virtual token")


@exercise
def check_mask_chosen(masked: Callable[[Tensor, list[int]], Tensor]) -> None:
    """``masked``: scores (P,), indices chosen so far → probabilities (P,)."""
    scores = torch.tensor([3.0, 1.0, 2.0, 0.0])
    before = scores.clone()
    assert torch.allclose(masked(scores, []), scores.softmax(0)), (
        "with nothing chosen yet this is the plain softmax"
    )
    once = masked(scores, [0])
    assert torch.equal(scores, before), "the scores given were changed: work on a copy"
    if once[0] == 0 and once.sum() < 0.999:
        raise AssertionError(
            f"the rest sums to {once.sum():.3f}: mask before the softmax (with −∞), not after it"
        )
    assert not torch.allclose(once, scores.softmax(0)), (
        f"token 0 was chosen and still has probability {once[0]:.2g}, as if it had not been: the "
        "scores of `chosen` have to change"
    )
    assert once[0] == 0, (
        f"token 0 was chosen and gets probability {once[0]:.2g}: its score should be −∞ (a zero, "
        "or a small number, is a score like any other)"
    )
    assert torch.allclose(once[1:], scores[1:].softmax(0)), "the rest should keep its proportions"
    last = masked(scores, [2, 0, 1])
    assert torch.equal(last, torch.tensor([0.0, 0.0, 0.0, 1.0])), (
        f"only token 3 is left, the probabilities are {last.tolist()}"
    )
    negative = masked(torch.tensor([-5.0, -9.0, -7.0]), [0])
    assert negative.argmax() == 2, "a chosen token was chosen again where all scores are negative"
    passed("masked: a chosen token can't be chosen again")


@exercise
def check_straight_through(straight: Callable[[Tensor], Tensor]) -> None:
    """``straight``: Order (P, P) → one-hot going forward, gradient of Order going back."""
    # many places: at some of them (hot + order) − order is off by a rounding error
    order = torch.rand(40, 40, generator=torch.Generator().manual_seed(0)).mul(4).softmax(-1)
    order.requires_grad_()
    hot = straight(order)
    assert_shape("the result", hot, (40, 40))
    expected = nn.functional.one_hot(order.argmax(-1), 40).float()
    assert hot.requires_grad, (
        "no gradient comes back: one_hot and argmax cut it, so the probabilities have to be added "
        "and taken away again, one of the two detached"
    )
    towards = torch.randn(40, 40, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((towards * hot).sum(), order)
    if torch.allclose(gradient, -towards):
        raise AssertionError(
            "the gradient has the opposite sign, as equation 14 is printed: + Order − detach(Order)"
        )
    assert torch.allclose(gradient, towards), (
        "the gradient should pass as if the result were Order itself"
    )
    assert torch.allclose(hot, expected, atol=1e-4), "going forward it should be one-hot"
    assert torch.equal(hot, expected), (
        "nearly one-hot is not one-hot: (O_h + Order) − Order rounds; take the difference first"
    )
    passed("straight through: exactly one-hot forward, the gradient of Order back")
