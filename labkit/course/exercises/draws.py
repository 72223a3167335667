"""Where chance comes from: a check's drawn inputs, and the global generators while it runs."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Draw:
    """Random inputs that a number repeats; hidden cases are the same kinds from another number."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.plain = random.Random(number)
        self._torch = torch.Generator().manual_seed(9_176 + number)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._torch)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._torch)

    def order(self, length: int) -> list[int]:
        return self.plain.sample(range(length), length)

    def whole(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included."""
        return self.plain.randint(low, high)

    def choices(self, values: Sequence, count: int) -> list:
        return self.plain.choices(values, k=count)


GENERATORS = (
    ("random.seed", "random.Random(seed)"),
    ("numpy.random.seed", "numpy.random.default_rng(seed)"),
    ("torch.manual_seed", "torch.Generator().manual_seed(seed)"),
)


def generator_states() -> tuple:
    numpy = np.random.get_state(legacy=False)["state"]
    return (
        random.getstate(),
        (numpy["key"].tobytes(), numpy["pos"]),
        torch.get_rng_state().numpy().tobytes(),
    )


def seed_all(number: int) -> tuple:
    """Put the global generators where no answer expects them; returns where that is."""
    random.seed(f"check {number}")
    np.random.seed(1_000_003 + number)
    torch.default_generator.manual_seed(2_000_003 + number)
    return generator_states()


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """The notebook's own draws go on as if no check had run between them."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])


class SaltedText(str):
    """A text whose hash depends on its salt, as that of every text does on the start of Python;
    on nothing else, so that a check comes out the same way each time."""

    salt: int

    def __new__(cls, text: str, salt: int) -> SaltedText:
        salted = super().__new__(cls, text)
        salted.salt = salt
        return salted

    def __hash__(self) -> int:
        return hash((self.salt, zlib.crc32(str.encode(self, "utf-8", "surrogatepass"))))

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __deepcopy__(self, memo: dict) -> SaltedText:
        return self

    def strip(self, *args: Any) -> SaltedText:
        return SaltedText(str.strip(self, *args), self.salt)
