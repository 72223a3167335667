"""What several test files share."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from labkit.core.tasks import Example, Task, TaskPrompt
from labkit.shuffle_probe import Probe, Shuffle

if TYPE_CHECKING:  # torch takes seconds to import, and many tests do without
    from labkit.core.backbones import Backbone
    from labkit.experiments.base.setting import Experiment

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's folder."""
    return ROOT


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Cuts this process off: names do not resolve and no connection opens, loopback included.

    Yields the list of what was tried, so that a test can also ask for no attempt at all: code that
    catches the error and falls back to a cache would otherwise pass for code that needs no network.
    A child process is not cut off.
    """
    attempts: list[str] = []

    def refuse(*args: object, **_: object) -> None:
        target = next((a for a in args if not isinstance(a, socket.socket)), "?")
        attempts.append(str(target))
        raise OSError(f"the network is off in this test, and {target} was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    yield attempts


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family → folder of its tiny random model, written once; see ``tiny.py``."""

    import tiny

    @functools.cache
    def build(family: str) -> Path:
        return tiny.build(family, tmp_path_factory.mktemp("tiny") / family)

    return build


@pytest.fixture(scope="session")
def tiny_backbone(tiny_folder: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """family → its frozen fp32 backbone on the CPU, loaded once and shared: do not change it."""

    import torch

    from labkit.core.loading import load_backbone

    @functools.cache
    def load(family: str) -> Backbone:
        return load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float32)

    return load


_TEXTS = (
    ("a slow and dull film", "a gripping film with a great cast"),
    ("nothing here works", "the acting is wonderful"),
    ("the plot is terrible from the first scene to the last", "an honest, moving story"),
    ("not the jokes and not the music", "very funny"),
    ("it was bad, and the last scene is terrible and slow and dull", "it was good"),
    ("the jokes are slow", "the music is great and the cast is wonderful and funny"),
)


def _examples(split: str, rounds: int) -> tuple[Example, ...]:
    pairs = [pair for _ in range(rounds) for pair in _TEXTS]
    return tuple(
        Example(f"{split}-{i}-{label}", {"text": f"{'and ' * (i // len(_TEXTS))}{text}"}, label)
        for i, pair in enumerate(pairs)
        for label, text in enumerate(pair)
    )


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    return build_tiny_task()


def build_tiny_task() -> Task:
    """Sentences of different lengths in the tiny tokenizers' own words: 24 to train on, 12, 12."""
    words = {"negative": "terrible", "positive": "great"}
    prompts = {
        "mlm": TaskPrompt("{text} It was {mask}.", words),
        "causal": TaskPrompt("{text} It was {mask}", words),
        "seq2seq": TaskPrompt("{text}", words),
        "encoder": TaskPrompt("{text}", words),
    }
    splits = {"train": 2, "validation": 1, "test": 1}
    return Task(
        name="tiny",
        fields=("text",),
        labels=("negative", "positive"),
        splits={split: _examples(split, rounds) for split, rounds in splits.items()},
        prompts=prompts,
    )


@pytest.fixture
def tiny_task_named(tiny_task: Task) -> Callable[[str], Task]:
    """name → the tiny task with another ending to every sentence, so that no two share a text."""

    def load(name: str) -> Task:
        splits = {
            split: tuple(replace(e, fields={"text": f"{e.text} {name} {split}"}) for e in examples)
            for split, examples in tiny_task.splits.items()
        }
        return replace(tiny_task, name=name, splits=splits)

    return load


@pytest.fixture
def two_prompts(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Callable[[str], Path],
    tiny_task: Task,
    tmp_path: Path,
) -> Callable[..., dict]:
    """(experiment about order, steps, limit) → its result on two prompts of a tiny model, in
    ``tmp_path``, through whatever gate."""
    from labkit.core.engines import LocalEngine
    from labkit.experiments import order
    from labkit.experiments.base import models, runner
    from labkit.experiments.base.recipe import Recipe

    def run(experiment: Experiment, steps: int = 2, limit: int | None = None) -> dict:
        recipe = Recipe(length=8, steps=steps, batch_size=4)
        setting = order.OrderSetting("tiny", str(tiny_folder("llama")), recipe)
        return runner.run_grid(
            replace(experiment, settings=lambda backbone, profile: [setting]),
            profile="small",
            backbone=None,
            task=None,
            seeds=(0, 1),
            out=tmp_path,
            resume=False,
            limit=limit,
            on_progress=None,
            engine=LocalEngine(workers=1),
        )

    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(order, "learns", lambda gate: True)
    models.shared_backbone.cache_clear()
    return run


def noisy_probe(length: int = 6) -> Probe:
    """Thirty orders of a prompt that are right seven times in ten; the trained one eight."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 64)
    predictions = np.where(random.random((30, 64)) < 0.7, targets, 1 - targets)
    trained = np.where(random.random(64) < 0.8, targets, 1 - targets)
    return Probe(Shuffle().draw(length, 30), predictions, trained, targets, "accuracy")
