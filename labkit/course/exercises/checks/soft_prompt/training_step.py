"""Exercise 2.3: the check of ``training_step``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Adapted, Draw, compare, require
from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.exercises.show import shown


def _descend(
    prompt: Tensor, model: nn.Module, texts: Tensor, targets: Tensor, lr: float, old: Tensor,
    sign: float = -1.0, total: bool = False, add: bool = False, behind: bool = False,
    late: bool = False,
) -> tuple[float, Tensor]:  # fmt: skip
    """The loss before a step, and the prompt after it."""
    leaf = prompt.clone().requires_grad_()

    def loss_of(vectors: Tensor) -> Tensor:
        parts = [vectors.expand(len(texts), -1, -1), texts]
        scores = model(torch.cat(parts[::-1] if behind else parts, 1))
        losses = torch.stack([s.logsumexp(0) - s[y] for s, y in zip(scores, targets, strict=True)])
        return losses.sum() if total else losses.mean()

    loss = loss_of(leaf)
    (gradient,) = torch.autograd.grad(loss, leaf)
    moved = prompt + sign * lr * (gradient + (old if add else 0))
    return float((loss_of(moved) if late else loss).detach()), moved


def _stepped(step: Guarded, prompt: Tensor, model: nn.Module, texts, targets, lr, old):
    """The loss that an answer reports, and where it leaves the prompt."""
    leaf = nn.Parameter(prompt.clone())
    leaf.grad = old.clone() if old.any() else None  # as it is before the first step
    modes = [part.training for part in model.modules()]
    weights = [p.clone() for p in model.parameters()]
    reported = step(leaf, model, texts, targets, lr, may_change=(0, 1))
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    free = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for weight, p in zip(weights, model.parameters(), strict=True):
            p.copy_(weight)
    as_it_was = modes == [part.training for part in model.modules()]
    model.requires_grad_(False).train(modes[0])
    require(same, "the model's weights changed: give the optimizer (or the update) the prompt only")
    require(not free, "the model was unfrozen: leave it, no gradient of its weights is needed")
    require(
        as_it_was,
        "the model was switched to another mode, and only the prompt is to change: leave "
        "model.train() and model.eval() to the caller",
    )
    require(reported is not None, "nothing comes back (None): return the loss before the step")
    if isinstance(reported, Tensor):
        require(
            not reported.requires_grad,
            "the loss comes back as a tensor that holds its whole graph: `.item()` makes it a "
            "number",
        )
    if torch.equal(leaf.detach(), prompt):
        require(
            not step.rebinds(0),
            f"the prompt has not moved: `{step.parameter(0)} = …` only gives the name another "
            "value, the caller's prompt stays; change it in place, inside torch.no_grad()",
        )
        raise CheckFailed("the prompt has not moved: was the step taken?")
    require(leaf.requires_grad, "the prompt can't be trained any further: requires_grad is off")
    require(leaf.shape == prompt.shape, f"the prompt has another shape now: {shown(leaf)}")
    return reported, leaf.detach().clone()


@exercise
def check_training_step(step: Guarded, draw: Draw) -> str:
    """``step``: prompt, frozen model, texts (B, T, D), targets (B,), lr → loss before the step."""
    cases = []
    shapes = [(2, 6, 3, 4, 3), (1, 5, 3, 3, 2), (3, 1, 2, 4, 4), (2, 4, 1, 3, 3), (2, 6, 3, 4, 3)]
    for number, (p, b, t, d, c) in enumerate(shapes):
        torch.manual_seed(draw.number * 10 + number)
        model = nn.Sequential(nn.Flatten(), nn.Linear((p + t) * d, 5), nn.Tanh(), nn.Linear(5, c))
        model.requires_grad_(False).train(bool(number % 2))
        if number == 3:
            model[-1].weight.mul_(20.0)  # a steep loss, whose gradient is long
        targets = torch.tensor([draw.whole(0, c - 1) for _ in range(b)])
        prompt, lr = draw.normal(p, d), (0.05, 0.5, 0.1, 1.0, 0.2)[number]
        old = draw.normal(p, d) if number else torch.zeros(p, d)
        cases.append((prompt, model, draw.normal(b, t, d), targets, lr, old))

    def wrong(**kinds: Any):
        return lambda *args: _descend(*args, **kinds)

    def no_rate(prompt, model, texts, targets, lr, old):
        return _descend(prompt, model, texts, targets, 1.0, old)

    def shrunk(*args):
        loss, moved = _descend(*args)
        return loss / len(args[3]), args[0] + (moved - args[0]) / len(args[3])

    def step_of_sum(*args):
        return _descend(*args)[0], _descend(*args, total=True)[1]

    def loss_of_sum(*args):
        return _descend(*args, total=True)[0], _descend(*args)[1]

    def signs(*args):
        loss, moved = _descend(*args)
        return loss, args[0] + args[4] * (moved - args[0]).sign()

    def unit(*args):
        loss, moved = _descend(*args)
        return loss, args[0] + args[4] * nn.functional.normalize(moved - args[0], dim=-1)

    def clipped(*args):
        loss, moved = _descend(*args)
        step = (moved - args[0]) / args[4]
        return loss, args[0] + args[4] * step / step.norm().clamp(min=1.0)

    def twice(*args):
        first = _descend(*args)
        return first[0], _descend(first[1], *args[1:])[1]

    compare(
        Adapted(step, _stepped),
        cases,
        _descend,
        mistakes={
            "the loss rose: a step goes against the gradient": wrong(sign=1.0),
            "the step depends on the gradient of the one before: set it to zero (or None) each "
            "time": wrong(add=True),
            "the step depends on the gradient of the one before, and the loss is summed: set it "
            "to zero, and take the mean over the batch": wrong(add=True, total=True),
            "loss and step are those of the sum: take the mean over the batch": wrong(total=True),
            "the step is that of the summed loss: take the mean over the batch": step_of_sum,
            "the loss that comes back is the sum: take the mean over the batch": loss_of_sum,
            "the loss is divided by the size of the batch twice: cross_entropy takes the mean "
            "already": shrunk,
            "this is the loss after the step: return the loss before the step": wrong(late=True),
            "the prompt stands behind the texts: [P; X]": wrong(behind=True),
            "`lr` is not used: the step is lr times the gradient": no_rate,
            "the step follows the sign of the gradient alone (as Adam's first one does): plain "
            "gradient descent takes lr times the gradient": signs,
            "two steps were taken": twice,
            "a long gradient was clipped to length one: take lr times the gradient itself": clipped,
            "the gradient's length was made one: take lr times the gradient itself": unit,
        },
        where="The loss is the mean cross entropy before the step; the prompt afterwards is "
        "P − lr · gradient",
    )
    return "one step: only the prompt moved, and the loss fell"
