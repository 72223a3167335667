"""Values as arguments: how they were before a call, whether two are alike, copies to write to."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def alike(one: Any, other: Any) -> bool:
    """Whether two values, or what they hold, are equal."""
    if isinstance(one, Tensor):
        same = isinstance(other, Tensor) and one.shape == other.shape and one.dtype == other.dtype
        return same and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        if not isinstance(other, list | tuple) or len(one) != len(other):
            return False
        return all(alike(a, b) for a, b in zip(one, other, strict=True))
    return not isinstance(other, Tensor | np.ndarray) and bool(one == other)


def snapshot(value: Any) -> Any:
    """A copy deep enough to see a change by; None where there is nothing to change."""
    if isinstance(value, Tensor):
        return value.detach().clone(), value.requires_grad
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, nn.Module):
        weights = {**dict(value.named_parameters()), **dict(value.named_buffers())}
        modes = [part.training for part in value.modules()]
        return modes, {name: snapshot(weight) for name, weight in weights.items()}
    if isinstance(value, dict):
        return [(key, snapshot(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [snapshot(inner) for inner in value]
    return value if isinstance(value, str | bytes | int | float | bool) else None


def is_as(before: Any, value: Any) -> bool:
    if before is None:
        return True
    now = snapshot(value)
    return alike(before, now)


def attributes(value: Any) -> dict[str, tuple[Any, Any]]:
    """What a module and its parts hold beside weights and mode: name → (object, its snapshot).

    Of the names that are torch's own (`_flat_weights`) only hooks count.
    """
    if not isinstance(value, nn.Module):
        return {}
    return {
        f"{path}.{name}".removeprefix("."): (held, snapshot(held))
        for path, part in value.named_modules()
        for name, held in vars(part).items()
        if name != "training" and (not name.startswith("_") or name.endswith("_hooks"))
    }


def other_attribute(before: dict[str, tuple[Any, Any]], value: Any) -> str | None:
    """The first of the :func:`attributes` that is new, gone or another one than before."""
    now = attributes(value)
    for name in before | now:
        if name not in before or name not in now:
            return name
        (old, copy_of_old), (new, _) = before[name], now[name]
        if new is not old if copy_of_old is None else not is_as(copy_of_old, new):
            return name
    return None


def copied(args: tuple) -> tuple:
    """Arguments that can be written to; what they hold for gradients stays a leaf."""
    return tuple(
        arg.detach().clone().requires_grad_(arg.requires_grad)
        if isinstance(arg, Tensor)
        else copy.deepcopy(arg)
        if isinstance(arg, list | dict | np.ndarray)
        else arg
        for arg in args
    )


def writable_like(args: tuple, others: tuple) -> bool:
    some = False
    for mine, new in zip(args, others, strict=True):
        if isinstance(mine, Tensor | np.ndarray):
            if type(mine) is not type(new) or mine.shape != new.shape:
                return False
            some = True
        elif isinstance(mine, list):
            some = some or not alike(mine, new)
        elif callable(mine) or not alike(mine, new):
            return False
    return some


def overwrite(mine: Any, new: Any) -> None:
    if isinstance(mine, Tensor):
        mine.data.copy_(new)
    elif isinstance(mine, np.ndarray):
        mine[...] = new
    elif isinstance(mine, list):
        mine[:] = copy.deepcopy(new)


def write_to(result: Any) -> None:
    if isinstance(result, Tensor):
        result.data.zero_() if result.dtype != torch.bool else result.logical_not_()
    elif isinstance(result, np.ndarray) and result.flags.writeable:
        result[...] = 0
    elif isinstance(result, list | tuple):
        for part in result:
            write_to(part)
        if isinstance(result, list):
            result.clear()
