"""Does the order of virtual tokens matter? The same prompt, scored in many orders.

A prompt is trained with its virtual tokens in one order. Here they change places, one by one, in
blocks, or with a part of them kept where it was, and every order is scored on the same examples.
The predictions of all orders are kept, so that every figure can be derived from them later.

    shuffled = Shuffle().draw(length=20, count=200, seed=0)      # (200, 20), distinct
    probe = probe_order(model, prompt, task, shuffled, limit=256)
    probe.counts                # worse, better, equal: the paper's three columns
    probe.significant()         # how many of them differ beyond chance
    probe.best_on_held_out()    # what "best of 200" is worth on examples it was not chosen on

Source: Liu, Cheng and Liu 2024, section 2 (tables 1–6).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labkit.core import scoring, statistics
from labkit.core.errors import LabError
from labkit.core.files import file_aside, write_text
from labkit.core.prompted_model import PromptedModel, for_classes, interpolate
from labkit.core.statistics import Counts, Difference
from labkit.core.tasks import Example, Task

FEW = 5040
"""Up to this many orders are listed and drawn from; of more, distinct ones are drawn at random."""

Orders = NDArray[np.int64]
"""(R, P): row r is the order in which the P virtual tokens stand; entry i is which one is i-th."""


# ---- orders ----


@dataclass(frozen=True)
class Shuffle:
    """Which virtual tokens may change places.

    Attributes:
        unit: virtual tokens that stay together, in blocks counted from the first one that moves;
            where the length is no multiple of it, the last block is shorter.
        fixed: (first, last) virtual tokens kept in place, counted from 0, both included, as in the
            paper's table 3; the others are shuffled.
    """

    unit: int = 1
    fixed: tuple[int, int] | None = None

    def blocks(self, length: int) -> list[list[int]]:
        """The blocks that change places, as lists of virtual tokens.

        Raises:
            LabError: for a unit or a fixed part that leaves nothing to shuffle.
        """
        if self.unit < 1:
            raise LabError(f"unit={self.unit}: a block has at least one virtual token")
        moving = [i for i in range(length) if not self._is_fixed(i, length)]
        blocks = [moving[i : i + self.unit] for i in range(0, len(moving), self.unit)]
        if len(blocks) < 2:
            kept = "" if self.fixed is None else " with {}-{} fixed".format(*self.fixed)
            raise LabError(
                f"a prompt of {length} virtual tokens in blocks of {self.unit}{kept} has no other "
                "order; take shorter blocks, or fix fewer"
            )
        return blocks

    def available(self, length: int) -> int:
        """How many distinct orders there are besides the trained one."""
        return math.factorial(len(self.blocks(length))) - 1

    def draw(self, length: int, count: int, seed: int = 0) -> Orders:
        """Distinct orders, never the trained one: (R, P), R = count or all that there are.

        Args:
            length: P, virtual tokens of the prompt.
        """
        if count < 1:
            raise LabError(f"permutations={count}: draw at least one order")
        blocks = self.blocks(length)
        random = np.random.default_rng(seed)
        places = _distinct(len(blocks), min(count, self.available(length)), random)
        return np.array([self._laid(blocks, row, length) for row in places])

    def _laid(self, blocks: list[list[int]], arranged: Sequence[int], length: int) -> list[int]:
        """Blocks in a new arrangement, in the places that the moving tokens leave."""
        moved = iter(token for block in arranged for token in blocks[block])
        return [i if self._is_fixed(i, length) else next(moved) for i in range(length)]

    def _is_fixed(self, index: int, length: int) -> bool:
        if self.fixed is None:
            return False
        first, last = self.fixed
        if not 0 <= first <= last < length:
            raise LabError(
                f"fixed part {first}-{last}: a prompt of {length} has the virtual tokens "
                f"0-{length - 1}"
            )
        return first <= index <= last

    def __str__(self) -> str:
        unit = "single virtual tokens" if self.unit == 1 else f"blocks of {self.unit}"
        return unit if self.fixed is None else "{}, {}-{} fixed".format(unit, *self.fixed)


def reversal(length: int) -> Orders:
    """The trained order backwards: (1, P)."""
    return np.arange(length)[::-1][None].copy()


def rotations(length: int) -> Orders:
    """Every shift by 1 … P−1 places: (P−1, P)."""
    return np.stack([np.roll(np.arange(length), shift) for shift in range(1, length)])


def swaps(length: int) -> Orders:
    """Every exchange of two virtual tokens: (P(P−1)/2, P), pairs as `itertools.combinations`."""
    orders = np.tile(np.arange(length), (math.comb(length, 2), 1))
    for row, (i, j) in enumerate(itertools.combinations(range(length), 2)):
        orders[row, [i, j]] = j, i
    return orders


NAMED = {"reversal": reversal, "rotations": rotations, "swaps": swaps}


def _distinct(count: int, wanted: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    """``wanted`` distinct permutations of ``count`` things, the identity left out."""
    identity = tuple(range(count))
    if math.factorial(count) <= FEW:
        others = [p for p in itertools.permutations(range(count)) if p != identity]
        chosen = random.permutation(len(others))[:wanted]
        return [others[i] for i in chosen]
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < wanted:
        permutation = tuple(random.permutation(count).tolist())
        if permutation != identity:
            drawn[permutation] = None
    return list(drawn)


# ---- scoring them ----


@dataclass(frozen=True)
class Probe:
    """The predictions of a prompt in its trained order and in R others, on the same N examples.

    Attributes:
        orders: (R, P); predictions: (R, N) class indices, or values for a regression.
        trained: (N,) predictions in the trained order; targets: (N,) the true ones.
        metric: ``accuracy`` or ``pearson``.
        seconds: what it took, the work of stopped runs included.
    """

    orders: Orders
    predictions: NDArray
    trained: NDArray
    targets: NDArray
    metric: str
    seconds: float = 0.0

    @property
    def scores(self) -> NDArray[np.float64]:
        """(R,) score of each order."""
        return statistics.scores(self.predictions, self.targets, self.metric)

    @property
    def baseline(self) -> float:
        """Score in the trained order."""
        return float(statistics.scores(self.trained[None], self.targets, self.metric)[0])

    @property
    def baseline_interval(self) -> statistics.Interval:
        if self.metric == "accuracy":
            return statistics.accuracy_interval(self.trained == self.targets)
        return statistics.pearson_interval(self.trained, self.targets)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(R, N) the prediction matrix as right or wrong (classification)."""
        return self.predictions == self.targets

    @property
    def counts(self) -> Counts:
        """How many orders score worse, better and equal: the paper's three columns."""
        return statistics.worse_better_equal(self.scores, self.baseline)

    @property
    def flip_rates(self) -> NDArray[np.float64]:
        """(R,) share of the examples whose predicted class differs from the trained order's."""
        return np.mean(self.predictions != self.trained, axis=1)

    def p_values(self) -> NDArray[np.float64]:
        """(R,) exact McNemar p-value of each order against the trained one (classification)."""
        trained = self.trained == self.targets
        return np.array([statistics.mcnemar_exact(row, trained) for row in self.correct])

    def significant(self, rate: float = 0.05) -> Counts:
        """As :attr:`counts`, counting only orders that differ beyond chance; the rest is equal.

        The false-discovery rate over all orders is held at ``rate`` (Benjamini and Hochberg).
        """
        found = statistics.false_discovery(self.p_values()) <= rate
        gains = self.scores - self.baseline
        worse, better = int(np.sum(found & (gains < 0))), int(np.sum(found & (gains > 0)))
        return Counts(worse, better, len(gains) - worse - better)

    def mean_difference(self) -> Difference:
        """A random order's score minus the trained order's, with its interval over examples."""
        return statistics.difference_of_scores(
            self.predictions, self.trained[None], self.targets, self.metric
        )

    def spread(self) -> Difference:
        """Best minus worst score, with its bootstrap interval over examples."""
        return statistics.spread(self.predictions, self.targets, self.metric)

    def noise_share(self) -> float:
        """Share of the variance between orders that the choice of N examples alone explains."""
        return statistics.noise_share(self.predictions, self.targets, self.metric)

    def best_on_held_out(self, seed: int = 0) -> statistics.HeldOut:
        """Gain of the best order where it was chosen, and on the other half of the examples."""
        return statistics.best_on_held_out(
            self.predictions, self.trained, self.targets, self.metric, seed
        )

    def summary(self) -> dict:
        """Everything above as plain numbers, for a result file."""
        scores, held_out = self.scores, self.best_on_held_out()
        mean, spread = self.mean_difference(), self.spread()
        told = {
            "metric": self.metric,
            "n": len(self.targets),
            "permutations": len(self.orders),
            "baseline": self.baseline,
            "ci95": list(self.baseline_interval),
            "worst": float(scores.min()),
            "best": float(scores.max()),
            "mean": float(scores.mean()),
            **self.counts._asdict(),
            "mean_difference": [mean.value, mean.low, mean.high],
            "spread": [spread.value, spread.low, spread.high],
            "noise_share": self.noise_share(),
            "best_chosen": held_out.chosen,
            "best_held_out": list(held_out.reported),
            "scores": [round(float(score), 6) for score in scores],
            "seconds": round(self.seconds, 1),
        }
        if self.metric == "accuracy":
            told["flip_rate"] = float(self.flip_rates.mean())
            told["significant"] = self.significant()._asdict()
        return told

    def save(self, file: str | Path) -> None:
        """Keep orders and predictions in one compressed ``.npz`` file, written aside first."""
        with file_aside(Path(file)) as aside, aside.open("wb") as stream:
            np.savez_compressed(
                stream,
                orders=self.orders.astype(np.int16),
                predictions=self.predictions,
                trained=self.trained,
                targets=self.targets,
                metric=np.array(self.metric),
                seconds=np.array(self.seconds),
            )

    @classmethod
    def load(cls, file: str | Path) -> Probe:
        try:
            with np.load(file) as kept:
                parts = {name: kept[name] for name in kept.files}
            metric, seconds = str(parts.pop("metric")), float(parts.pop("seconds"))
            parts["orders"] = parts["orders"].astype(np.int64)
            return cls(**parts, metric=metric, seconds=seconds)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise LabError(f"{file} holds no whole probe ({error}); run the probe again") from error


def probe_order(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    orders: Orders,
    split: str = "test",
    *,
    limit: int | None = 256,
    out: str | Path | None = None,
    resume: bool = False,
    progress: scoring.Progress | None = None,
) -> Probe:
    """Score a prompt in its trained order and in each of ``orders``.

    Args:
        orders: (R, P), see :class:`Shuffle` and :data:`NAMED`.
        limit: score a seeded sample of that many examples, always the same one; None: all.
        out: folder for the prediction matrix, one row per order, written as it grows: a stopped
            probe goes on from there with ``resume``. Without it the matrix is kept in memory.
        progress: called with (orders done, orders in all).

    Raises:
        LabError: for orders that are no permutations of the prompt's virtual tokens, a folder that
            holds another probe, or one that holds this probe when ``resume`` is not set.
    """
    examples = task.split(split) if limit is None else task.take(split, limit, seed=0)
    model = for_classes(model, task)
    vectors = model.vectors(prompt).detach()
    orders = np.vstack([np.arange(len(vectors)), _checked(orders, len(vectors))])  # trained first
    matrix = _Matrix.open(out, resume, model, vectors, task, examples, orders)
    scorer = scoring.Scorer(model.backbone, model.encode(examples, vectors), model.labels())
    for row in range(len(orders)):
        if progress is not None:
            progress(row, len(orders))
        if matrix.has(row):
            continue
        started = time.perf_counter()
        order = torch.from_numpy(orders[row]).to(vectors.device)
        scores = scorer(vectors[order]).numpy()  # (N, C)
        matrix.put(row, _predicted(scores, task), time.perf_counter() - started)
    if progress is not None:
        progress(len(orders), len(orders))
    return Probe(
        orders=orders[1:],
        predictions=matrix.rows[1:],
        trained=matrix.rows[0],
        targets=np.array([example.label for example in examples]),
        metric=task.metric,
        seconds=matrix.seconds,
    )


def _predicted(scores: NDArray, task: Task) -> NDArray:
    if task.kind == "regression":
        return interpolate(scores, task.range)
    return scores.argmax(-1)


def _checked(orders: Orders, length: int) -> Orders:
    orders = np.asarray(orders)
    if orders.ndim != 2 or not len(orders) or orders.shape[1] != length:
        raise LabError(
            f"orders of shape {orders.shape}: give (R, {length}), one row per order of the "
            f"prompt's {length} virtual tokens"
        )
    if not (np.sort(orders, axis=1) == np.arange(length)).all():
        raise LabError(f"an order must name each of the virtual tokens 0-{length - 1} once")
    return orders


UNSEEN = {np.dtype(np.int16): -1, np.dtype(np.float32): np.nan}
"""Marks in the prediction matrix where nothing has been scored yet, by its type."""


class _Matrix:
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
    ) -> _Matrix:
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
    return {
        "prompt": _digest(vectors.float().cpu().numpy().tobytes()),
        "orders": _digest(orders.astype(np.int64).tobytes()),
        "examples": _digest(repr([example.id for example in examples]).encode()),
        "task": task.name,
        "backbone": model.backbone.name,
        "dtype": str(model.backbone.dtype),
        "template": model.template.text,
        "words": str(model.verbalizer.words),
        "layout": f"bos={model.bos}, positions={model.positions}",
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
