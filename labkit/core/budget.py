"""How much fits into one batch: a number of tokens, which running out of memory halves.

A batch costs twice: the tokens that it computes, and the tokens whose keys and values it holds in
memory meanwhile, which are those and, for every row anew, the prefix that the rows share.

Usage::

    with batch_tokens(20_000):        # for what is scored and trained within the block
        evaluate(model, prompt, task)
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from labkit.core.errors import LabError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Budget:
    """Tokens that a batch may have.

    Attributes:
        computed: in its rows, padding included.
        held: in its rows and, once for each of them, in the prefix that they share.
    """

    computed: int
    held: int

    @classmethod
    def of(cls, tokens: int) -> Budget:
        """The budget of a user who names one number: all that is held."""
        return cls(tokens, tokens)


CPU = Budget(computed=512, held=8_192)
"""Measured on two cores with smollm2: 256 to 1,024 computed tokens are equally fast, from 2,048 on
attention's masks and activations fall out of the cache."""

GPU = Budget(computed=65_536, held=65_536)
"""Keys and values of 65,536 tokens are 34 GB for a model of 7 billion parameters in bf16."""

_chosen: int | None = None
_halvings = 0


def budget_for(device: torch.device, tokens: int | None = None) -> Budget:
    """The budget of a batch on ``device``: of ``tokens``, else what has been chosen, else what
    suits the device; halved as often as memory has run out."""
    full = CPU if device.type == "cpu" else GPU
    if tokens or _chosen:
        full = Budget.of(tokens or _chosen)
    return Budget(max(full.computed >> _halvings, 1), max(full.held >> _halvings, 1))


@contextlib.contextmanager
def batch_tokens(count: int | None) -> Iterator[None]:
    """Within the block a batch holds at most ``count`` tokens; None: what suits the device.

    Raises:
        LabError: for a number below 1.
    """
    global _chosen, _halvings
    if count is not None and count < 1:
        raise LabError(f"--batch-tokens {count}: a batch has at least one token")
    before = _chosen, _halvings
    _chosen, _halvings = count, 0
    try:
        yield
    finally:
        _chosen, _halvings = before


def chosen_tokens() -> int | None:
    """What :func:`batch_tokens` was asked for; None where nobody asked."""
    return _chosen


def within_memory(device: torch.device, act: Callable[[], Result]) -> Result:
    """What ``act`` returns; each time that memory runs out the budget is halved and it starts anew.

    Raises:
        LabError: when a single token is too many.
    """
    global _halvings
    while True:
        try:
            return act()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if budget_for(device).held == 1:
                raise LabError(
                    f"memory of {device} runs out on a single text; take a smaller model or a "
                    "shorter prompt, or free the device"
                ) from error
        _halvings += 1
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if _halvings == 1:
            print(
                f"memory of {device} ran out; going on with smaller batches "
                f"(--batch-tokens {budget_for(device).held})",
                file=sys.stderr,
            )


_OUT_OF_MEMORY = ("not enough memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
"""In messages of plain RuntimeErrors: of the CPU's allocator, of the driver, of CUDA's libraries,
which allocate beside torch."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, whoever says so."""
    message = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(m in message for m in _OUT_OF_MEMORY)
