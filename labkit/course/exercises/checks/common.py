"""What the checks share: the line of a passed one, and the shape of a tensor."""

from __future__ import annotations

from torch import Tensor


def passed(what: str) -> None:
    print(f"✓ {what}")


def assert_shape(what: str, value: object, expected: tuple[int, ...], hint: str = "") -> None:
    assert isinstance(value, Tensor), f"{what} should be a tensor, got {type(value).__name__}"
    seen = tuple(value.shape)
    assert seen == expected, f"{what} has shape {seen}, expected {expected}. {hint}".strip()
