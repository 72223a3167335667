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

import time
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labkit.core import scoring, statistics
from labkit.core.errors import LabError
from labkit.core.files import file_aside
from labkit.core.prompted_model import PromptedModel, for_classes, interpolate
from labkit.core.statistics import Counts, Difference
from labkit.core.tasks import Task
from labkit.shuffle_probe.matrix import PredictionMatrix
from labkit.shuffle_probe.orders import Orders, checked


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
        beyond_chance = statistics.false_discovery(self.p_values()) <= rate
        gains = self.scores - self.baseline
        worse, better = (
            int(np.sum(beyond_chance & (gains < 0))),
            int(np.sum(beyond_chance & (gains > 0))),
        )
        return Counts(worse, better, len(gains) - worse - better)

    def mean_difference(self) -> Difference:
        """Mean score of these R orders minus the trained order's, with its interval for other
        examples.

        The orders stay as they are: of orders that were not drawn it says the less the fewer these
        are. :func:`~labkit.shuffle_probe.mean_effect` of several prompts draws orders anew too, as
        :meth:`~labkit.shuffle_probe.IncompleteProbe.mean_difference` does for one.
        """
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
        fields = {
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
            fields["flip_rate"] = float(self.flip_rates.mean())
            fields["significant"] = self.significant()._asdict()
        return fields

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
        """A probe back from :meth:`save`.

        Raises:
            LabError: for a file that is missing, damaged or something else.
        """
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
            holds another probe, half of one or a damaged one, or one that holds this probe when
            ``resume`` is not set. What is in the folder stays as it is.
    """
    task = model.view_of(task)
    examples = task.split(split) if limit is None else task.take(split, limit, seed=0)
    model = for_classes(model, task)
    vectors = model.fixed_vectors(prompt)
    orders = np.vstack([np.arange(len(vectors)), checked(orders, len(vectors))])  # trained first
    matrix = PredictionMatrix.open(out, resume, model, vectors, task, examples, orders)
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
