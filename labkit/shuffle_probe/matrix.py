"""The prediction matrix of a probe, in memory or in a file that grows row by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labkit.core.errors import LabError
from labkit.core.files import write_text
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example, Task
from labkit.shuffle_probe.orders import Orders

UNSEEN = {np.dtype(np.int16): -1, np.dtype(np.float32): np.nan}
"""Marks in the prediction matrix where nothing has been scored yet, by its type."""


class PredictionMatrix:
    """The prediction matrix (R+1, N), in memory or in a file that grows row by row."""

    def __init__(self, rows: NDArray, notes: Path | None, seconds: float) -> None:
        self.rows, self.notes, self.seconds = rows, notes, seconds

    @classmethod
    def open(
        cls,
        out: str | Path | None,
        resume: bool,
        model: PromptedModel,
        vectors: torch.Tensor,
        task: Task,
        examples: Sequence[Example],
        orders: Orders,
    ) -> PredictionMatrix:
        kind = np.dtype(np.float32 if task.kind == "regression" else np.int16)
        shape = (len(orders), len(examples))
        if out is None:
            return cls(np.full(shape, UNSEEN[kind], kind), None, 0.0)
        folder = Path(out)
        notes, file = folder / "probe.json", folder / "predictions.npy"
        about = _fingerprint(model, vectors, task, examples, orders)
        if notes.is_file() and file.is_file():
            known = _read_notes(notes)
            if known.get("about") != about:
                raise LabError(f"{folder} holds another probe; choose another folder")
            if not resume:
                raise LabError(
                    f"{folder} holds this probe already; go on with --resume, or choose another "
                    "folder"
                )
            rows = np.load(file, mmap_mode="r+")
            return cls(rows, notes, known["seconds"])
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.lib.format.open_memmap(file, "w+", kind, shape)
        rows[:] = UNSEEN[kind]
        rows.flush()
        matrix = cls(rows, notes, 0.0)
        _write_notes(notes, {"about": about, "seconds": 0.0})
        return matrix

    def has(self, row: int) -> bool:
        """Whether the row is whole: a run that was killed while writing left a mark in it."""
        predictions = self.rows[row]
        unseen = np.isnan(predictions) if predictions.dtype.kind == "f" else predictions < 0
        return not unseen.any()

    def put(self, row: int, predictions: NDArray, seconds: float) -> None:
        self.rows[row] = predictions
        self.seconds += seconds
        if self.notes is not None:
            if isinstance(self.rows, np.memmap):
                self.rows.flush()
            _write_notes(self.notes, _read_notes(self.notes) | {"seconds": self.seconds})


def _fingerprint(
    model: PromptedModel,
    vectors: torch.Tensor,
    task: Task,
    examples: Sequence[Example],
    orders: Orders,
) -> dict[str, str]:
    """What has to be the same for a probe to be continued."""
    side = f", side={model.backbone.side}" if model.backbone.side else ""
    return {
        "prompt": _digest(vectors.float().cpu().numpy().tobytes()),
        "orders": _digest(orders.astype(np.int64).tobytes()),
        "examples": _digest(repr([example.id for example in examples]).encode()),
        "task": task.name,
        "backbone": model.backbone.name,
        "dtype": str(model.backbone.dtype),
        "template": model.template.text,
        "words": str(model.verbalizer.words),
        "layout": f"bos={model.bos}, positions={model.positions}{side}",
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _read_notes(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabError(f"{file} is damaged ({error}); delete its folder and run again") from error


def _write_notes(file: Path, notes: dict) -> None:
    write_text(file, json.dumps(notes, indent=1) + "\n")
