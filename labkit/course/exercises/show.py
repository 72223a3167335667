"""Values as messages of checks show them: short, with plain numbers, in the reader's own terms."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from torch import Tensor, nn

MOST_ENTRIES, MOST_NUMBERS = 12, 6
LONGEST = 160


def shown(value: Any) -> str:
    """A value on part of a line."""
    if isinstance(value, Tensor):
        return _array(value.detach().tolist(), tuple(value.shape), value.numel(), "tensor")
    if isinstance(value, np.ndarray):
        return _array(value.tolist(), value.shape, value.size, "array")
    if isinstance(value, nn.Module) or callable(value):
        return f"<{getattr(value, '__name__', type(value).__name__)}>"
    if isinstance(value, list) and len(value) > MOST_ENTRIES and not isinstance(value[0], list):
        return f"[{', '.join(map(plain, value[:6]))}, … {len(value)} in all]"
    text = plain(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def plain(value: Any) -> str:
    """Like ``repr``, with four decimals and no names of types around numbers."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, str):
        return str.__repr__(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return number(float(value))
    if isinstance(value, Tensor | np.ndarray):
        return shown(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{plain(k)}: {plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(plain, value)) + (",)" if len(value) == 1 else ")")
    if isinstance(value, list):
        return "[" + ", ".join(map(plain, value)) + "]"
    return repr(value)


def number(value: float) -> str:
    """Four decimals, more digits where those would show nothing."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}".rstrip("0").rstrip(".") if value != int(value) else f"{value:.1f}"
    return f"{value:.4g}"


def call_text(name: str, args: tuple, named: dict | None = None) -> str:
    """``name(…)`` with its arguments."""
    parts = [shown(arg) for arg in args]
    parts += [f"{key}={shown(arg)}" for key, arg in (named or {}).items()]
    return f"{name}({', '.join(parts)})"


def _array(entries: Any, shape: tuple, size: int, kind: str) -> str:
    dims = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    if size > MOST_NUMBERS:
        return f"<{kind} ({dims})>"
    return plain(entries)
