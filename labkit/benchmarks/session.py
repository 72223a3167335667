"""Everything that a short loan of a device should answer, part by part, so that it can be resumed.

Each part is a file in the folder: the three benchmarks at each length, scoring with a text encoder
too, and for each default model how far the device's scores are from the CPU's. What is there
already is not measured again.

Usage::

    labkit bench all --device cuda --out gpu
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labkit import benchmarks
from labkit.core.devices import release_memory
from labkit.core.errors import LabError, first_line
from labkit.core.files import write_text
from labkit.core.loading import NAMED, load_backbone, require_device
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import load_task
from labkit.soft_prompt import SoftPrompt

LENGTHS = (20, 100)
OPTIONAL = ("gemma-270m",)
"""Named models whose terms have to be accepted first."""

GPU_SIZES = {"evaluate": {"limit": 1024}, "probe": {"limit": 1024}, "tune": {"steps": 32}}
"""Work for a device that is done with a CPU's in an instant."""

ERRORS = "errors.txt"

MODELS = tuple(name for name in NAMED if name not in OPTIONAL)

ENCODER = "minilm"

RACES: dict[str, tuple[str, dict[str, Any]]] = {
    f"{verb}-{length}": (verb, {"length": length})
    for length in LENGTHS
    for verb in ("evaluate", "probe", "tune")
} | {
    f"evaluate-{ENCODER}-{length}": ("evaluate", {"backbone": ENCODER, "length": length})
    for length in LENGTHS
}
"""The benchmarks: name of a part → its verb and what is asked of it."""


def bench_all(
    out: Path, device: str | None = None, on_progress: benchmarks.OnProgress | None = None
) -> dict[str, dict]:
    """Measure what is not yet in the folder ``out``: the result of each part by its name.

    A part that fails keeps none of the others from being measured: ``failed`` in its result says
    why, its traceback is in ``errors.txt`` beside them, and the next call tries it again.

    Raises:
        LabError: for a device that is not here, or a folder that can't be written.
    """
    parts = dict(_parts(device))
    results = {}
    for index, (name, measure) in enumerate(parts.items()):
        if on_progress is not None:
            on_progress(index, len(parts), name)
        file = out / f"{name}.json"
        try:
            if not file.is_file():
                write_text(file, json.dumps(_measured(measure), indent=1))
            results[name] = json.loads(file.read_text(encoding="utf-8"))
        except _Failed as failure:
            results[name] = {"failed": str(failure)}
            _keep(out / ERRORS, f"{name}\n{traceback.format_exc()}\n")
        except OSError as error:
            raise LabError(f"{file} cannot be written ({error}); name another folder") from error
        except ValueError as error:
            raise LabError(f"{file} is damaged ({error}); delete it and run again") from error
    return results


class _Failed(Exception):
    """A part that could not be measured: what it says, in one line."""


def _measured(measure: Callable[[], dict]) -> dict:
    try:
        return measure()
    except Exception as error:
        raise _Failed(f"{type(error).__name__}: {first_line(error)}") from error
    finally:
        release_memory()


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as errors:
        errors.write(text)


def _parts(device: str | None) -> Iterator[tuple[str, Callable[[], dict]]]:
    on_cpu = require_device(device).type == "cpu"
    for name in MODELS:
        yield f"agreement-{name}", partial(agreement, name, device)
    for name, (verb, asked) in RACES.items():
        bench = getattr(benchmarks, f"bench_{verb}")
        sizes = {} if on_cpu else GPU_SIZES[verb]
        yield name, partial(bench, device=device, **asked, **sizes)


def agreement(
    backbone: str, device: str | None = None, length: int = 20, limit: int = 64
) -> dict[str, object]:
    """How far the scores on a device are from those on the CPU, both in fp32: of ``limit`` test
    sentences of rt-polarity under a prompt of ``length`` tokens."""
    task = load_task("rt-polarity")
    examples = task.take("test", limit, seed=0)
    here = load_backbone(backbone, device="cpu", dtype=torch.float32)
    prompt = SoftPrompt.from_vocab(here, length, seed=0)
    there = load_backbone(backbone, device=device, dtype=torch.float32)
    ours, theirs = (
        PromptedModel.for_task(each, task).scores(prompt, examples) for each in (here, there)
    )
    return {
        "backbone": backbone,
        **there.where(),
        "sentences": limit,
        "largest_difference": float((ours - theirs).abs().max()),
        "same_predictions": float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
    }
