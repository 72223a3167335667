"""The recipe: how something is trained, in one place for `fit`, checkpoints and experiments.

It says nothing of what is trained, on which task, or with which seed.

Usage::

    recipe = Recipe(steps=200, batch_size=16, lr=3e-3)
    fit(model, prompt, task, recipe, seed=1)
    fit(model, prompt, task, recipe, lr=1e-2)       # this one with another learning rate
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.core.errors import LabError

OPTIMIZERS = ("adam", "adamw", "adafactor")
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True)
class Recipe:
    """How a prompt (or a backbone) is trained.

    Attributes:
        steps: optimizer steps, of ``batch_size`` examples each.
        lr: learning rate; reached after ``warmup`` steps, then ``schedule`` (constant, linear or
            cosine decay to zero at the last step).
        optimizer: adam, adamw, or adafactor as in Lester et al. 2021 (no relative steps, no
            parameter scaling, decay 0.8).
        clip: largest norm of the gradient; None leaves it as it is.
        evaluate_every: steps between evaluations on (a fixed sample of ``validation_limit``
            examples of) the validation split; the best weights by it are the ones kept.
        patience: stop after that many evaluations without a new best.

    Raises:
        LabError: for a setting out of range.
    """

    steps: int = 200
    batch_size: int = 16
    lr: float = 3e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float | None = 1.0
    evaluate_every: int | None = None
    validation_limit: int | None = 256
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "clip", "evaluate_every", "patience"):
            require_positive(name, getattr(self, name))
        for name in ("warmup", "weight_decay"):
            require_not_negative(name, getattr(self, name))
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise LabError(
                    f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(known)}"
                )
        if self.patience is not None and self.evaluate_every is None:
            raise LabError(
                "patience needs evaluate_every (give both): without evaluations nothing can stop "
                "early"
            )

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """The same recipe but for the fields that are named.

        Raises:
            LabError: for a name that is no field, or a setting out of range.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise LabError(f"{name!r} is no setting{hint}; there are {', '.join(known)}")
        return dataclasses.replace(self, **changes)

    def training_fields(self) -> dict[str, object]:
        """What decides a training: these fields, without those that a subclass adds."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}


def require_positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise LabError(f"{name}={value} must be above zero and finite")


def require_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise LabError(f"{name}={value} must be finite and not below zero")
