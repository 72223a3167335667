"""What a row says of its scores, in a form that any paired comparison can be computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import LabError
from labkit.core.prompted_model import Evaluation
from labkit.shuffle_probe import Probe


def scores_of(result: Evaluation) -> dict:
    """The scores of a row; for accuracy also which examples were right, as a string of 0 and 1."""
    scores = {
        "metric": result.metric,
        "value": result.value,
        "ci95": list(result.ci95),
        "n": result.n,
        "majority": result.majority,
    }
    if result.metric == "accuracy":
        scores["correct"] = as_digits(result.correct)
    return scores


def has_learned(row: Mapping) -> bool:
    """Whether the row's prompt passed the gate, or the row was made before its table had one."""
    return row.get("learns", True)


def learned(rows: Iterable[Mapping]) -> list[Mapping]:
    """Rows of prompts that passed the gate, and those that were made before their table had one."""
    return [row for row in rows if has_learned(row)]


def own_matrix(row: Mapping, file: Path) -> Probe | None:
    """The matrix of a row about orders; None where the file is gone, damaged or another row's.

    Tables share rows, and a row that was taken points into the other table's folder: where that
    table is run again, made of something else, the file there is no longer what the row says.
    """
    try:
        probe = Probe.load(file)
    except LabError:
        return None
    says = [row.get("baseline", np.nan), *row.get("scores", ())]
    holds = [probe.baseline, *probe.scores]
    alike = len(says) == len(holds) and np.allclose(says, holds, rtol=0, atol=1e-6)
    return probe if alike and len(probe.targets) == row.get("n") else None


def as_digits(right: Iterable) -> str:
    """Right or wrong answers (N,) as a row keeps them: a string of 0 and 1."""
    return "".join("01"[int(r)] for r in right)


def from_digits(text: str) -> NDArray[np.bool_]:
    """The answers back: (N,)."""
    return np.array([digit == "1" for digit in text])


def answer_changes(pairs: Iterable[tuple[str, str]]) -> NDArray[np.float64]:
    """What each of P prompts gains on each sentence, from pairs (after, before) of digits: (P, N),
    −1, 0 or 1."""
    return np.array([from_digits(a).astype(float) - from_digits(b) for a, b in pairs])


def paired_answers(rows: Sequence[Mapping], *settings: str) -> tuple[np.ndarray, ...] | None:
    """Correctness (seeds, N) of each setting, for the seeds that have all of them and whose prompts
    learned; None without any."""
    right = {
        (row["setting"], row["seed"]): from_digits(row["correct"])
        for row in learned(rows)
        if "correct" in row
    }
    seeds = [
        seed
        for setting, seed in right
        if setting == settings[0] and all((other, seed) in right for other in settings)
    ]
    if not seeds:
        return None
    return tuple(np.stack([right[setting, seed] for seed in seeds]) for setting in settings)
