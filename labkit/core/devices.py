"""Devices: what they are called, and how not to wait for them.

A GPU works through a queue. Whoever asks it for a number, or copies to it as ``Tensor.to`` does by
itself, waits until the queue is empty, and the GPU then waits for more to do. Inner loops therefore
move with :func:`moved`, take columns with :func:`columns`, and bring results back once.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch
from torch import Tensor


def called(device: torch.device) -> str:
    """As rows and benchmarks name it: ``cpu``, or a GPU with its model's name."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device, without waiting for what the device is doing.

    Memory that is not pinned is read before the call returns, so that nothing can change meanwhile.
    """
    return tensor.to(device, non_blocking=True)


def columns(table: Tensor, chosen: Sequence[int]) -> Tensor:
    """``table[:, chosen]`` (B, c); a list as index would be copied to the device first."""
    return torch.stack([table[:, column] for column in chosen], dim=-1)


def release_memory() -> None:
    """Give a GPU's memory that nothing holds any more back to whoever asks next."""
    if torch.cuda.is_initialized():
        gc.collect()  # models and their hooks hold each other
        torch.cuda.empty_cache()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked to do; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
