"""Milestone A.1: the check of ``SoftPrompt``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.soft_prompt.prepend import padded_behind
from labkit.course.exercises.compare import Adapted, Draw, compare, refuse_other_type, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.show import shown


def _in_front(start: Tensor, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    ones = torch.ones(len(mask), len(start), dtype=mask.dtype)
    return torch.stack([torch.cat([start, text]) for text in embedded]), torch.cat([ones, mask], 1)


def _module(answer: Guarded, start: Tensor) -> nn.Module:
    """The answer's module, once it holds the vectors and nothing else to train."""
    module = answer(start)
    require(isinstance(module, nn.Module), f"SoftPrompt(start) is {shown(module)}, no nn.Module")
    trained = dict(module.named_parameters())
    require(
        bool(trained),
        "there is nothing to train: a tensor becomes a parameter of the module by nn.Parameter",
    )
    require(
        set(trained) == {"vectors"},
        f"the parameters are {', '.join(sorted(trained))}: the prompt is one parameter, in "
        "`self.vectors`, where later cells read it",
    )
    vectors = trained["vectors"]
    require(
        vectors.shape == start.shape and torch.equal(vectors.detach(), start),
        f"`vectors` {shown(vectors)} is not what the prompt was to start with, {shown(start)}",
    )
    require(vectors.requires_grad, "`vectors` can't be trained: requires_grad is off")
    return module


def _applied(answer: Guarded, start: Tensor, embedded: Tensor, mask: Tensor) -> Any:
    module = _module(answer, start)
    read = Guarded(module, answer.name, may_use_labkit=not answer.watched)(embedded, mask)
    return read


@exercise
def check_soft_prompt(answer: Guarded, draw: Draw) -> str:
    """``SoftPrompt(start)``: start (P, D); then embedded (B, T, D), mask (B, T) → both longer."""
    _refuse_sharing(answer, draw)
    shapes = [(3, 2, 5, 4), (1, 3, 4, 2), (4, 1, 3, 5), (2, 3, 1, 3), (3, 3, 3, 3)]
    cases = []
    for p, b, t, d in shapes:
        lengths = torch.tensor([draw.whole(1, t) for _ in range(b)])
        mask = (torch.arange(t) < lengths[:, None]).long()
        cases.append((draw.normal(p, d), draw.normal(b, t, d), mask))
    cases[0][2][:] = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    start, embedded, mask = cases[0]
    cases += [(start, embedded, mask.flip(1)), (start, embedded, mask.bool())]

    def mask_as(change) -> Any:
        return lambda p, x, m: (_in_front(p, x, m)[0], change(p, m))

    def inputs_as(change) -> Any:
        return lambda p, x, m: (change(p, x), _in_front(p, x, m)[1])

    def ones(p, m):
        return m.new_ones(len(m), len(p))

    def behind(p, x):
        return torch.cat([x, p.expand(len(x), -1, -1)], 1)

    compare(
        Adapted(answer, _applied),
        cases,
        _in_front,
        mistakes={
            "the mask was not extended: it needs ones for the virtual tokens, in front": (
                mask_as(lambda p, m: m)
            ),
            "virtual tokens are read: their mask is 1": (
                mask_as(lambda p, m: torch.cat([0 * ones(p, m), m], 1))
            ),
            "the ones stand behind the mask: the virtual tokens are in front of the text": (
                mask_as(lambda p, m: torch.cat([m, ones(p, m)], 1))
            ),
            "the mask is 1 everywhere: the text's own follows, with its zeros at the padding": (
                mask_as(lambda p, m: torch.cat([ones(p, m), torch.ones_like(m)], 1))
            ),
            "the mask is made anew from the lengths, as if all padding stood behind the text: the "
            "text's own follows, wherever its zeros stand": mask_as(padded_behind),
            "the prompt stands behind the text, and so do its ones: put both in front": (
                lambda p, x, m: (behind(p, x), torch.cat([m, ones(p, m)], 1))
            ),
            "the prompt stands behind the text: put it in front": inputs_as(behind),
            "mask and inputs are exchanged: the inputs come first": (
                lambda p, x, m: _in_front(p, x, m)[::-1]
            ),
            "the prompt is added to the text's vectors: it goes in front of them": (
                lambda p, x, m: (x + p.mean(0), m)
            ),
        },
        where="First the prompt's rows, in order, then the text's vectors, unchanged; the mask "
        "has ones for the virtual tokens, then its own numbers",
    )
    for case in cases:
        refuse_other_type(_applied(answer, *case)[1], case[2])
    _follows_training(answer, draw)
    for case in cases[:3]:
        _require_gradient(answer, case, draw)
    return "a soft prompt: P vectors to train, in front of the text, with their mask"


def _refuse_sharing(answer: Guarded, draw: Draw) -> None:
    table = draw.normal(6, 3)
    before = table.clone()
    module = _module(answer, table[:4])
    with torch.no_grad():
        module.vectors.zero_()
    require(
        torch.equal(table, before),
        "training would write into what the prompt started from, the model's own embedding table: "
        "start from a copy",
    )


def _follows_training(answer: Guarded, draw: Draw) -> None:
    """One module, several batches: a larger one, and one after a step of training."""
    start = draw.normal(3, 4)
    module = _module(answer, start)
    read = Guarded(module, answer.name, may_use_labkit=not answer.watched)
    for rows, width, step in ((2, 5, 0.0), (4, 3, 0.0), (1, 5, 1.0)):
        with torch.no_grad():
            module.vectors.add_(step)
        embedded, mask = draw.normal(rows, width, 4), torch.ones(rows, width).long()
        inputs, longer = read(embedded, mask)
        expected, ones = _in_front(start + step, embedded, mask)
        require(
            inputs.shape == expected.shape and longer.shape == ones.shape,
            "the second batch gets what the first one got, which had another number of texts: "
            "keep nothing from call to call",
        )
        require(
            torch.allclose(inputs, expected, atol=1e-5),
            "after a step of training the inputs still hold the vectors of the start: read "
            "`self.vectors` at each call",
        )


def _require_gradient(answer: Guarded, case: tuple, draw: Draw) -> None:
    """The gradient of a sum of the inputs arrives, each row's from every text of the batch."""
    start, embedded, mask = case
    module = _module(answer, start)
    inputs, _ = module(embedded, mask)
    require(
        inputs.requires_grad,
        "no gradient reaches `vectors`: detach(), .data and new tensors cut it",
    )
    towards = draw.normal(*inputs.shape)
    (inputs * towards).sum().backward()
    expected = towards[:, : len(start)].sum(0)
    require(
        module.vectors.grad is not None
        and torch.allclose(module.vectors.grad, expected, atol=1e-4),
        "the gradient that reaches `vectors` is not that of the inputs: each text of the batch "
        "has its share in it",
    )
