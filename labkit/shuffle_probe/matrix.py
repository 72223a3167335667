"""The prediction matrix of a probe, in memory or in a file that grows row by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labkit.core.errors import LabError
from labkit.core.files import file_aside, write_text
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
        """The matrix in the folder ``out``, begun or gone on with; None: in memory.

        Raises:
            LabError: for a folder that holds another probe, half of one or a damaged one, or this
                one where ``resume`` is not set.
        """
        kind = np.dtype(np.float32 if task.kind == "regression" else np.int16)
        shape = (len(orders), len(examples))
        if out is None:
            return cls(np.full(shape, UNSEEN[kind], kind), None, 0.0)
        folder = Path(out)
        notes, file = folder / "probe.json", folder / "predictions.npy"
        about = _fingerprint(model, vectors, task, examples, orders)
        if not _both_are_there(notes, file):
            _begin(notes, file, about, np.full(shape, UNSEEN[kind], kind))
            return cls(_mapped(file, kind, shape), notes, 0.0)
        known = _read_notes(notes)
        _check_same(known["about"], about, folder)
        if not resume:
            raise LabError(
                f"{folder} holds this probe already; go on with --resume, or choose another folder"
            )
        return cls(_mapped(file, kind, shape), notes, known["seconds"])

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


def _both_are_there(notes: Path, file: Path) -> bool:
    """Whether a probe has been begun; one file without the other is not known to be ours."""
    if notes.exists() == file.exists():
        return notes.exists()
    there, missing = (notes, file) if notes.exists() else (file, notes)
    raise LabError(
        f"{there} stands there without {missing.name}, so that no probe can go on in its folder; "
        "choose another folder, or move it away"
    )


def _begin(notes: Path, file: Path, about: Mapping[str, object], rows: NDArray) -> None:
    # the matrix last: where there is no room for either, neither is left
    with file_aside(file) as aside:
        with aside.open("wb") as stream:
            np.save(stream, rows)
        _write_notes(notes, {"about": about, "seconds": 0.0})


def _mapped(file: Path, kind: np.dtype, shape: tuple[int, int]) -> np.memmap:
    """The matrix in the file, to be written to; never one of another size.

    numpy would lengthen a file that was cut short by zeros, and 0 is a class.
    """
    try:
        rows = np.lib.format.open_memmap(file, "r")  # fails where the file ends before the matrix
        whole = (rows.dtype, rows.shape) == (kind, shape)
        whole = whole and file.stat().st_size == rows.offset + rows.nbytes
    except ValueError:
        whole = False
    if not whole:
        raise LabError(
            f"{file} is damaged: it does not hold {shape[0]} × {shape[1]} predictions; delete it "
            "and probe.json and run again, or choose another folder"
        )
    return np.lib.format.open_memmap(file, "r+")


def _check_same(known: Mapping[str, object], about: Mapping[str, object], folder: Path) -> None:
    names = [name for name in {**about, **known} if known.get(name) != about.get(name)]
    if names:
        raise LabError(
            f"{folder} holds another probe (not the same: {', '.join(names)}); choose another "
            "folder, or delete the probe.json and predictions.npy in it"
        )


def _fingerprint(
    model: PromptedModel,
    vectors: torch.Tensor,
    task: Task,
    examples: Sequence[Example],
    orders: Orders,
) -> dict[str, object]:
    """What has to be the same for a probe to be continued."""
    return {
        "prompt": _digest(vectors.float().cpu().numpy().tobytes()),
        "orders": _digest(orders.astype(np.int64).tobytes()),
        "task": task.name,
        "examples": task.with_splits(scored=examples).fingerprint("scored"),
        **model.layout(),
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _read_notes(file: Path) -> dict:
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
        return {"about": dict(notes["about"]), "seconds": float(notes["seconds"])}
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(
            f"{file} is damaged, or no probe's ({error}); delete it and predictions.npy and run "
            "again, or choose another folder"
        ) from error


def _write_notes(file: Path, notes: dict) -> None:
    write_text(file, json.dumps(notes, indent=1) + "\n")
