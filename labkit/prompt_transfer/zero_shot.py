"""What a prompt of one task does on another: the table of transfer, and what it says.

*Zero-shot transfer* here means: the target's own template and label words, the source's vectors in
its slots. Label spaces differ between tasks, so nothing of the source but its vectors can travel.

Usage::

    said = kind_difference(table)          # points that a source of the same kind is worth
    similarity_against_transfer(table, similarity)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from labkit.core import statistics
from labkit.core.errors import LabError
from labkit.core.tasks import TRAINED_ON, are_seen

KINDS = {
    "sentiment": (
        "rt-polarity", "movie-valence", "amazon-valence", "editorials-valence", "tweets-valence",
        "sst2", "cr", "mpqa",
    ),
    "subjectivity": ("subj",),
    "inference": ("rte", "qnli", "mnli", "snli"),
    "paraphrase": ("mrpc", "qqp"),
}  # fmt: skip
"""Kinds of tasks, as in TPT: what the label says of the text."""


def kind_of(task: str) -> str:
    """The kind of a task; one that is in no list is a kind of its own."""
    return next((kind for kind, names in KINDS.items() if task in names), task)


def is_seen(source: str | None, target: str, backbone: str) -> bool:
    """Whether a pair proves little: shared sentences, or the backbone was trained on one of them.

    Args:
        source: None for a prompt that was trained on no task.
    """
    known = TRAINED_ON.get(backbone, frozenset())
    if source is None:
        return target in known
    return are_seen(source, target) or bool({source, target} & known)


class TransferTable(NamedTuple):
    """Zero-shot transfer: accuracies of S sources on T targets with R seeds.

    Attributes:
        values: (R, S, T); controls: name → (R, T); seen: (S, T) bool; majority: (T,).
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray
    controls: Mapping[str, np.ndarray]
    seen: np.ndarray
    majority: np.ndarray
    seeds: tuple[int, ...]

    @property
    def same_task(self) -> np.ndarray:
        """(S, T) whether source and target are one task."""
        return np.array([[s == t for t in self.targets] for s in self.sources])

    @property
    def same_kind(self) -> np.ndarray:
        """(S, T) whether source and target are of one kind."""
        return np.array([[kind_of(s) == kind_of(t) for t in self.targets] for s in self.sources])

    @property
    def fair(self) -> np.ndarray:
        """(S, T) pairs that say something about transfer: two tasks, not seen."""
        return ~self.same_task & ~self.seen

    @property
    def of_both_kinds(self) -> np.ndarray:
        """(T,) targets with fair sources of their own kind and of another: those that can tell."""
        own, other = self.fair & self.same_kind, self.fair & ~self.same_kind
        return own.any(0) & other.any(0)


class OverTargets(NamedTuple):
    """A mean over target tasks, with Student's 95 % interval for targets drawn anew."""

    value: float
    low: float
    high: float
    targets: int


def over_targets(values: ArrayLike) -> OverTargets:
    """Mean of one value per target, with its interval.

    Raises:
        LabError: for fewer than two targets.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        raise LabError(f"{len(values)} targets are too few for an interval; run more tasks")
    return OverTargets(*statistics.mean_with_interval(values), len(values))


def kind_difference(table: TransferTable) -> OverTargets:
    """Mean accuracy from sources of the target's kind minus that from sources of other kinds.

    Compared within each target that has both, seen pairs and the target itself left out, seeds
    averaged; then averaged over the targets. Sources are shared between targets, so the interval
    is for other targets of these sources.

    Raises:
        LabError: for fewer than two targets that have both.
    """
    mean, fair, same = table.values.mean(0), table.fair, table.same_kind
    differences = []
    for column in np.flatnonzero(table.of_both_kinds):
        of_kind, other = fair[:, column] & same[:, column], fair[:, column] & ~same[:, column]
        differences.append(mean[of_kind, column].mean() - mean[other, column].mean())
    return over_targets(differences)


def same_kind_gain(table: TransferTable, level: ArrayLike) -> OverTargets:
    """What a source of the target's kind brings it above a level, such as a control's.

    Within each target over its fair sources of its own kind, seeds averaged; then averaged over the
    targets that have such a source.

    Args:
        level: (T,) accuracies that gains are measured from.

    Raises:
        LabError: for a level of another shape, or fewer than two such targets.
    """
    level = np.asarray(level, dtype=float)
    if level.shape != (len(table.targets),):
        raise LabError(f"a level of shape {level.shape} for {len(table.targets)} targets: one each")
    gains, kin = table.values.mean(0) - level, table.fair & table.same_kind
    return over_targets([gains[rows, i].mean() for i, rows in enumerate(kin.T) if rows.any()])


def retrieved(table: TransferTable, similarity: ArrayLike) -> OverTargets:
    """What picking the most similar source brings: its accuracy minus the mean of all fair sources.

    Within each target that has at least two fair sources, in each seed; then seeds averaged, and
    targets. Where several are the most similar, their mean counts.

    Args:
        similarity: (R, S, T) of the prompts of one seed with each other, or (S, T).
    """
    similarity, gains = _of_table(table, similarity), []
    for column, rows in enumerate(table.fair.T):
        if rows.sum() < 2:
            continue
        alike, values = similarity[:, rows, column], table.values[:, rows, column]  # (R, S')
        best = alike == alike.max(1, keepdims=True)
        picked = (values * best).sum(1) / best.sum(1)
        gains.append((picked - values.mean(1)).mean())
    return over_targets(gains)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's ρ of two (N,) arrays; tied values share their mean rank, 0 where one is constant.

    Raises:
        LabError: for other shapes, or fewer than three pairs.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise LabError(f"shapes {x.shape} and {y.shape}: give two rows of at least 3 values")
    return statistics.pearson(stats.rankdata(x), stats.rankdata(y))


def similarity_against_transfer(table: TransferTable, similarity: ArrayLike) -> OverTargets:
    """Rank correlation of similarity and transfer over the sources of a target, mean over targets.

    Within a target, because accuracies of different targets are on different scales. Left out: the
    target itself, seen pairs, and targets with fewer than three sources left.

    Args:
        similarity: (R, S, T) of the prompts of one seed with each other, or (S, T).
    """
    similarity, correlations = _of_table(table, similarity), []
    for column in range(len(table.targets)):
        rows = table.fair[:, column]
        if rows.sum() < 3:
            continue
        pairs = zip(similarity[:, rows, column], table.values[:, rows, column], strict=True)
        correlations.append(np.mean([rank_correlation(x, y) for x, y in pairs]))
    return over_targets(correlations)


def _of_table(table: TransferTable, similarity: ArrayLike) -> np.ndarray:
    """(R, S, T) of similarities that are given for each seed, or once for all."""
    similarity = np.asarray(similarity, dtype=float)
    if similarity.shape not in (table.values.shape, table.values.shape[1:]):
        raise LabError(
            f"similarities of shape {similarity.shape} for a table of {table.values.shape}: give "
            "(seeds, sources, targets)"
        )
    return np.broadcast_to(similarity, table.values.shape)
