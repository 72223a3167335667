"""Training and evaluation mode: set for a while, and as it was afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def modes_kept(*modules: object) -> Iterator[None]:
    """After the block, every part of the modules is in the mode that it was in before.

    What is no module (None, a function that gives fixed vectors) has no mode.
    """
    given = [module for module in modules if isinstance(module, nn.Module)]
    before = [(part, part.training) for module in given for part in module.modules()]
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


@contextlib.contextmanager
def evaluating(*modules: object) -> Iterator[None]:
    """Within the block the modules are in evaluation mode: no dropout, nothing sampled."""
    with modes_kept(*modules):
        for module in modules:
            if isinstance(module, nn.Module):
                module.eval()
        yield
