"""What an answer gives, read as the kind of value that is expected, and how the two differ.

Where a text leaves the container open, any will do: a number may be a float, a NumPy scalar or a
tensor of one entry, a matrix a tensor, an array or a list of rows. What can't be read that way is
told by its type or its shape.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labkit.course.exercises.show import number, plain, shown


class Unreadable(Exception):
    """The value is of another kind than the one expected; the message says what was seen."""


class Tolerance(NamedTuple):
    """Two numbers agree if they differ by at most ``atol + rtol · |expected|``."""

    rtol: float = 1e-4
    atol: float = 1e-5


FINE = Tolerance()
"""For answers that computed with 32 bits or more."""

COARSE = Tolerance(2e-2, 1e-2)
"""For answers that computed with 16 bits."""


def agrees(raw: Any, expected: Any, tolerance: Tolerance = FINE) -> bool:
    """Whether an answer is the expected value."""
    try:
        return _same(read_like(raw, expected), expected, _fitting(raw, tolerance))
    except Unreadable:
        return False


def read_like(raw: Any, expected: Any) -> Any:
    """The value as the kind of ``expected``: tensors in double precision, plain numbers, lists.

    Raises:
        Unreadable: if it is no such value.
    """
    if raw is None and expected is not None:
        raise Unreadable("nothing comes back (None): is the `return` missing?")
    for kind, read in _READERS:
        if isinstance(expected, kind):
            return read(raw, expected)
    return raw


def difference(raw: Any, expected: Any, tolerance: Tolerance = FINE) -> str:
    """What was seen and what was expected, at the first place where the two differ."""
    try:
        value = read_like(raw, expected)
    except Unreadable as error:
        return str(error)
    if isinstance(expected, Tensor) and expected.numel() > _FEW:
        off = ~_close(value, expected.double(), _fitting(raw, tolerance))
        place = tuple(off.nonzero()[0].tolist())
        inside = ", ".join(map(str, place))
        seen, wanted = value[place].item(), expected[place].item()
        return f"[{inside}] is {number(seen)}, expected {number(wanted)}"
    if isinstance(expected, tuple):
        for i, (item, wanted) in enumerate(zip(value, expected, strict=True)):
            if not _same(item, wanted, _fitting(raw, tolerance)):
                return f"value {i + 1} of {len(expected)}: {difference(item, wanted, tolerance)}"
    if isinstance(expected, float) and number(value) == number(expected):
        return f"got {value:.10g}, expected {expected:.10g}"
    if isinstance(expected, list) and len(plain(expected)) > _LONG:
        return _first_item(value, expected, tolerance)
    return f"got {shown(value)}, expected {shown(expected)}"


def relation(pairs: Sequence[tuple[Any, Any]], tolerance: Tolerance) -> str | None:
    """How all answers lie to what is expected, where one simple rule holds throughout."""
    read = []
    for raw, expected in pairs:
        try:
            read.append((read_like(raw, expected), expected))
        except Unreadable:
            return None
    if all(isinstance(expected, list) for _, expected in read):
        return _relation_of_lists(read)
    arrays = [(_flat(a), _flat(b)) for a, b in read]
    if any(a is None or b is None or a.shape != b.shape for a, b in arrays):
        return None
    given = np.concatenate([a.ravel() for a, _ in arrays])
    right = np.concatenate([b.ravel() for _, b in arrays])
    fit = _fitting(pairs[0][0], tolerance)
    return _relation_of_numbers(given, right, fit) or _relation_of_places(arrays, fit)


# ---- reading ----


def _tensor(raw: Any, expected: Tensor) -> Tensor:
    value = as_tensor(raw)
    if value is None:
        raise Unreadable(f"{_a(raw)} comes back, expected a tensor {_dims(expected.shape)}")
    if value.shape != expected.shape:
        raise Unreadable(
            f"the result has shape {_dims(value.shape)}, expected {_dims(expected.shape)}"
        )
    return value


def as_tensor(raw: Any) -> Tensor | None:
    """Tensors, arrays, numbers and nested lists of them, in double precision."""
    try:
        if isinstance(raw, Tensor):
            return raw.detach().to("cpu").to_dense().double()
        if isinstance(raw, list | tuple) and any(isinstance(row, Tensor | list) for row in raw):
            rows = [as_tensor(row) for row in raw]
            return None if any(row is None for row in rows) else torch.stack(rows)
        if isinstance(raw, str | dict | set):
            return None
        return torch.from_numpy(np.asarray(raw, dtype=np.float64))
    except (TypeError, ValueError, RuntimeError):
        return None


def _number(raw: Any, expected: float) -> float:
    if isinstance(raw, Tensor | np.ndarray):
        if raw.size != 1 if isinstance(raw, np.ndarray) else raw.numel() != 1:
            raise Unreadable(f"the result has shape {_dims(raw.shape)}, expected one number")
        return float(raw)
    if isinstance(raw, str) or not hasattr(raw, "__float__"):
        raise Unreadable(f"{_a(raw)} comes back, expected one number")
    return float(raw)


def _whole(raw: Any, expected: int) -> int:
    value = _number(raw, expected)
    if value != value or value != int(value):
        raise Unreadable(f"{number(value)} comes back, expected a whole number")
    return int(value)


def _truth(raw: Any, expected: bool) -> bool:
    if isinstance(raw, bool | np.bool_):
        return bool(raw)
    if isinstance(raw, Tensor | np.ndarray) and raw.reshape(-1).shape[0] == 1:
        return bool(raw)
    if isinstance(raw, numbers.Real) and raw in (0, 1):
        return bool(raw)
    raise Unreadable(f"{_a(raw)} comes back, expected True or False")


def _text(raw: Any, expected: str) -> str:
    if not isinstance(raw, str):
        raise Unreadable(f"{_a(raw)} comes back, expected a text")
    return str.__str__(raw)


def _items(raw: Any) -> list | None:
    if isinstance(raw, Tensor | np.ndarray):
        return list(raw) if raw.ndim else None
    sequence = hasattr(raw, "__len__") and hasattr(raw, "__getitem__")
    return list(raw) if sequence and not isinstance(raw, str | bytes | dict) else None


def _list(raw: Any, expected: list) -> list:
    items = _items(raw)
    if items is None:
        raise Unreadable(f"{_a(raw)} comes back, expected a list")
    if not expected:
        return items
    return [read_like(item, expected[min(i, len(expected) - 1)]) for i, item in enumerate(items)]


def _tuple(raw: Any, expected: tuple) -> tuple:
    items = _items(raw)
    if items is None or len(items) != len(expected):
        seen = _a(raw) if items is None else f"{_a(raw)} of {len(items)}"
        raise Unreadable(f"{seen} comes back, expected {_COUNT.get(len(expected))} values")
    read = []
    for i, (item, wanted) in enumerate(zip(items, expected, strict=True)):
        try:
            read.append(read_like(item, wanted))
        except Unreadable as error:
            raise Unreadable(f"of the values that come back, number {i + 1}: {error}") from None
    return tuple(read)


def _mapping(raw: Any, expected: dict) -> dict:
    if not isinstance(raw, dict):
        raise Unreadable(f"{_a(raw)} comes back, expected a dictionary")
    missing, extra = expected.keys() - raw.keys(), raw.keys() - expected.keys()
    if missing or extra:
        wrong = f"lacks {sorted(missing, key=str)}" if missing else f"has {sorted(extra, key=str)}"
        raise Unreadable(f"the dictionary {wrong}; expected the keys {list(expected)}")
    return {key: read_like(raw[key], value) for key, value in expected.items()}


_READERS: tuple[tuple[type, Callable[[Any, Any], Any]], ...] = (
    (Tensor, _tensor), (bool, _truth), (int, _whole), (float, _number), (str, _text),
    (tuple, _tuple), (list, _list), (dict, _mapping),
)  # fmt: skip
_COUNT = {2: "two", 3: "three"}


def _a(raw: Any) -> str:
    name = type(raw).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _dims(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


# ---- comparing ----


def _fitting(raw: Any, tolerance: Tolerance) -> Tolerance:
    """A tolerance that fits the precision of what came back."""
    first = raw[0] if isinstance(raw, tuple | list) and raw else raw
    half = isinstance(first, Tensor) and first.dtype in (torch.float16, torch.bfloat16)
    return COARSE if half else tolerance


def _close(value: Tensor, expected: Tensor, tolerance: Tolerance) -> Tensor:
    return torch.isclose(value, expected, tolerance.rtol, tolerance.atol, equal_nan=True)


def _same(value: Any, expected: Any, tolerance: Tolerance) -> bool:
    if isinstance(expected, Tensor):
        return bool(_close(value, expected.double(), tolerance).all())
    if isinstance(expected, float):
        near = abs(value - expected) <= tolerance.atol + tolerance.rtol * abs(expected)
        return near or value == expected or (value != value and expected != expected)
    if isinstance(expected, dict):
        return all(_same(value[key], wanted, tolerance) for key, wanted in expected.items())
    if isinstance(expected, list | tuple):
        return len(value) == len(expected) and all(
            _same(item, wanted, tolerance) for item, wanted in zip(value, expected, strict=True)
        )
    return value == expected


_FEW, _LONG = 8, 120


def _first_item(value: list, expected: list, tolerance: Tolerance) -> str:
    for i, (item, wanted) in enumerate(zip(value, expected, strict=False)):
        if not _same(item, wanted, tolerance):
            return f"item {i} is {shown(item)}, expected {shown(wanted)}"
    return f"{len(value)} items come back, expected {len(expected)}"


# ---- relations ----


def _flat(value: Any) -> np.ndarray | None:
    if isinstance(value, Tensor):
        return value.detach().double().numpy()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


_ENOUGH = 3
"""So many different numbers have to follow a rule before a message states it."""


def _relation_of_numbers(given: np.ndarray, right: np.ndarray, fit: Tolerance) -> str | None:
    if np.isnan(given).any() and not np.isnan(right).any():
        return None
    if len(np.unique(right)) < _ENOUGH:
        return None

    def is_(values: np.ndarray) -> bool:
        return bool(np.allclose(given, values, fit.rtol, fit.atol))

    if len(np.unique(given)) == 1:
        return f"whatever goes in, {number(float(given[0]))} comes out"
    if is_(-right):
        return "every sign is the other way round"
    if is_(1 - right):
        return "these are 1 minus what is asked for"
    big = np.abs(right) > max(100 * fit.atol, 1e-3)
    if len(np.unique(np.round(right[big], 6))) >= _ENOUGH:
        ratios = given[big] / right[big]
        factor = float(np.median(ratios))
        if factor and is_(factor * right):
            unit = " (per cent)" if math.isclose(factor, 100, rel_tol=1e-3) else ""
            return f"everything is {number(factor)} times what is expected{unit}"
    shift = float(np.median(given - right))
    if is_(right + shift):
        return f"everything is {number(abs(shift))} too {'large' if shift > 0 else 'small'}"
    with np.errstate(all="ignore"):
        for hint, values in (
            ("these are the squares of what is expected", right**2),
            ("these are the square roots of what is expected", np.sqrt(right)),
            (
                "these are e to the power of what is expected: is a logarithm missing?",
                np.exp(right),
            ),
            ("these are the logarithms of what is expected", np.log(right)),
            ("these are one over what is expected", 1 / right),
            ("what is behind the point was cut off", np.trunc(right)),
            ("these were rounded to whole numbers", np.round(right)),
            ("the signs are lost", np.abs(right)),
        ):
            if np.isfinite(values).all() and is_(values):
                return hint
    return None


def _relation_of_places(pairs: list[tuple[np.ndarray, np.ndarray]], fit: Tolerance) -> str | None:
    def everywhere(change: Callable[[np.ndarray], np.ndarray]) -> bool:
        changed = [change(right) for _, right in pairs]
        return all(
            a.shape == b.shape and np.allclose(a, b, fit.rtol, fit.atol)
            for (a, _), b in zip(pairs, changed, strict=True)
        )

    pairs = [(a, b) for a, b in pairs if b.size > 1]
    if not pairs:
        return None
    if all(b.ndim == 2 and b.shape[0] == b.shape[1] for _, b in pairs) and everywhere(np.transpose):
        return "rows and columns are exchanged"
    if everywhere(lambda b: np.flip(b, 0)):
        return "the first axis runs backwards"
    if everywhere(lambda b: np.flip(b, -1)):
        return "the last axis runs backwards"
    for axis, what in ((0, "first"), (-1, "last")):
        for by in (1, -1):
            if everywhere(lambda b, by=by, axis=axis: np.roll(b, by, axis)):
                return f"everything stands one place off along the {what} axis"
    if all(
        np.allclose(np.sort(a.ravel()), np.sort(b.ravel()), fit.rtol, fit.atol) for a, b in pairs
    ):
        return "these are the right values, in other places"
    return None


def _relation_of_lists(pairs: list[tuple[list, list]]) -> str | None:
    try:
        if all(a == b[::-1] for a, b in pairs):
            return "the right items, in reverse order"
        if all(sorted(a) == sorted(b) for a, b in pairs):
            return "the right items, in another order"
    except TypeError:
        pass
    return None
