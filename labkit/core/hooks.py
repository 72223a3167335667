"""Hooks: what a model does differently within a block of code, and as it was after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import transformers
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@contextlib.contextmanager
def only_at(model: Any, slots: Tensor) -> Iterator[None]:
    """Within the block, the head sees the hidden states at ``slots`` (B, k) only.

    The head of a language model multiplies by the whole vocabulary; at every position that would
    cost as much as several layers. A hook on the body keeps this true for any model, whatever its
    head is made of.
    """

    def narrow(_module: nn.Module, _inputs: object, output: Any) -> Any:
        hidden = output.last_hidden_state  # (B, T, D)
        index = slots[..., None].expand(-1, -1, hidden.shape[-1])  # (B, k, D)
        output.last_hidden_state = hidden.gather(1, index)
        return output

    with hooked(model.base_model.register_forward_hook(narrow)):
        yield


@contextlib.contextmanager
def attending_in_plain_steps(model: transformers.PreTrainedModel) -> Iterator[None]:
    """Within the block attention isn't fused into one kernel, which keeps its shares to itself."""
    fused = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(fused)


@contextlib.contextmanager
def hooked(handle: RemovableHandle) -> Iterator[None]:
    """Within the block the hook behind ``handle`` is in place."""
    try:
        yield
    finally:
        handle.remove()
