"""Results in the type that an exercise asks for, whichever type the answer chose.

A check reads a matrix as a tensor, an array or a list of rows alike
(:func:`labkit.course.exercises.results.read_like`). Later cells do arithmetic with what comes back
and hand it to models, and need the one type that the text names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor


def returning_like(answer: Callable, model: Callable) -> Callable:
    """The answer, with results of the type that another function says it returns."""
    kind = get_type_hints(model).get("return")

    @functools.wraps(answer)
    def typed(*args: Any, **named: Any) -> Any:
        return as_kind(answer(*args, **named), kind)

    return typed


def as_kind(value: Any, kind: Any) -> Any:
    """The value as what an annotation says, such as ``tuple[Tensor, list[int]]``.

    Real tensors have torch's usual precision, as those of the notebooks have; whole numbers stay
    what they are, and so does what the annotation leaves open.
    """
    if kind in (int, float, bool, str):
        return kind(value)
    if kind is Tensor:
        tensor = _tensor(value)
        return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    if kind is np.ndarray:
        return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    outer, inner = get_origin(kind), get_args(kind)
    if outer is list:
        return [as_kind(item, inner[0]) for item in value]
    if outer is tuple:
        return tuple(as_kind(item, of) for item, of in zip(value, inner, strict=True))
    if outer is dict:
        return {key: as_kind(item, inner[1]) for key, item in value.items()}
    return value


def _tensor(value: Any) -> Tensor:
    """Lists of tensors keep their gradient."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, list | tuple) and any(isinstance(p, Tensor | list | tuple) for p in value):
        return torch.stack([_tensor(part) for part in value])
    return torch.as_tensor(np.array(value, order="C"))  # no negative strides
