"""The rules about the paper's equations: each computes one small case and looks what comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from labkit.audit.paper import Paper

if TYPE_CHECKING:  # takes seconds to import
    import torch

Violations = Iterator[Mapping[str, object]]


def keeps_every_token(paper: Paper, order: Sequence[Sequence[float]]) -> Violations:
    """Equations 11 to 13: the best virtual token of each step, with nothing against repeats.

    Args:
        order: (P, P), the scores of each step for each virtual token.
    """
    equation, chosen = paper.equation(11), []
    for step in order:
        free = [j for j in range(len(step)) if j not in chosen or not equation["excludes_chosen"]]
        chosen.append(max(free, key=step.__getitem__))
    lost = sorted(set(range(len(order))) - set(chosen))
    if lost:
        rows = [list(map(float, step)) for step in order]
        yield dict(printed=equation["printed"], order=rows, chosen=chosen, lost=lost)


def straight_through(paper: Paper) -> Violations:
    """Equation 14: the gradient that reaches Order, against the straight-through one."""
    import torch

    equation = paper.equation(14)
    prompt = torch.tensor([[1.0, 2.0], [3.0, 5.0]])  # (P, D)
    weight = torch.tensor([[1.0, -2.0], [0.5, 4.0]])  # (P, D), the gradient of some loss
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0]])  # (P, P)

    def gradient(terms: Mapping[str, float]) -> torch.Tensor:
        order = scores.softmax(-1).requires_grad_()
        one_hot = torch.eye(2)[order.argmax(-1)]
        parts = {"one_hot": one_hot, "detached": order.detach(), "order": order}
        chosen = torch.stack([float(sign) * parts[name] for name, sign in terms.items()]).sum(0)
        (chosen @ prompt * weight).sum().backward()
        return order.grad

    right = gradient({"one_hot": 1, "order": 1, "detached": -1})
    ratio = (gradient(equation["terms"]) / right).mean().item()
    if not math.isclose(ratio, 1, rel_tol=1e-6):
        yield dict(printed=equation["printed"], ratio=ratio)


def paired_wavelengths(paper: Paper, width: int, position: int) -> Violations:
    """Equations 2 and 3: sine and cosine of a pair should turn at the same rate."""
    sine, cosine = paper.equation(2), paper.equation(3)
    angles = [position / 10_000 ** (e["exponent_offset"] / width) for e in (sine, cosine)]
    length = math.sin(angles[0]) ** 2 + math.cos(angles[1]) ** 2
    if not math.isclose(length, 1):
        yield dict(
            sine=sine["printed"],
            cosine=cosine["printed"],
            length=length,
            position=position,
            width=width,
        )


def scaled_attention(paper: Paper, width: int) -> Violations:
    """Equation 5: how wide are the scores of random queries and keys?"""
    import torch

    equation = paper.equation(5)
    random = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 200, width, generator=random)  # (200, D) each
    divisor = math.sqrt(width) if equation["divisor"] == "sqrt(d)" else 1
    spread = (query @ key.T / divisor).std().item()
    if spread > 2:
        yield dict(printed=equation["printed"], spread=spread, width=width)
