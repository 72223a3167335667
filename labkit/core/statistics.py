"""Intervals and paired tests: how sure a score on a few hundred sentences can be.

Two prompts are compared on the same sentences, so what counts is the *paired* difference: sentences
that both get right or both get wrong say nothing about which one is better. Every interval here is
a 95 % one.

    accuracy_interval((150, 300))                # (0.444, 0.556)
    paired_difference(soft_correct, hard_correct)  # value, low, high
    mcnemar_exact(soft_correct, hard_correct)    # p-value

Sources: Wilson (1927); Fisher (1921); McNemar (1947) with the exact binomial reference; Benjamini
and Hochberg (1995); Cameron, Gelbach and Miller (2011), "Robust inference with multiway
clustering", for seeds crossed with examples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from labkit.core.errors import LabError

CONFIDENCE = 0.95
TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
Z = float(stats.norm.ppf(TAILS[1]))
POWER = 0.8
"""Share of repetitions in which the smallest detectable effect would have been detected."""

LEAST_TO_HALVE = 8
"""Examples that can be cut into two halves to choose on one and report on the other."""

# Two routes to the same accuracy (k / n, or a mean of booleans) may differ in the last bits only.
ROUNDING = 1e-9


class Interval(NamedTuple):
    """A 95 % interval, in the unit of the score it belongs to."""

    low: float
    high: float


class Difference(NamedTuple):
    """A mean paired difference a - b with its 95 % interval, in the unit of a and b."""

    value: float
    low: float
    high: float


class Counts(NamedTuple):
    """How many scores lie below, above and exactly at a baseline (the paper's three columns)."""

    worse: int
    better: int
    equal: int


class HeldOut(NamedTuple):
    """The best of many, chosen on one half of the examples and reported on the other.

    chosen: its mean gain over the baseline on the halves that it was chosen on; reported: the gain
    on the halves that it was not chosen on, with its 95 % interval; drawn: (B,) that gain with
    examples drawn anew, the choice held fixed.
    """

    chosen: float
    reported: Difference
    drawn: NDArray[np.float64]


def accuracy_interval(correct: ArrayLike | tuple[int, int]) -> Interval:
    """Wilson's interval of an accuracy.

    Args:
        correct: (N,) booleans, one per example, or the *tuple* ``(k, n)``: k right out of n.

    Wilson's keeps its coverage at small n and near 0 and 1, where value ± 1.96 standard errors
    leaves the range. Raises LabError where there is no example.
    """
    k, n = correct if isinstance(correct, tuple) else _count(correct)
    if n < 1 or not 0 <= k <= n:
        raise LabError(f"accuracy of {k} right out of {n}: give 0 <= k <= n and at least 1 example")
    share = k / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    # At k = 0 and k = n one end is 0 or 1 exactly; rounding may not carry it past that.
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's r of two (N,) arrays.

    Where one of them is constant r is undefined; it counts as 0 here, so that a model that gives
    every pair of sentences the same score stands where the majority class stands for accuracy.
    """
    x, y = _paired(x, y)
    if _is_constant(x) or _is_constant(y):
        return 0.0
    return float(stats.pearsonr(x, y).statistic)


def pearson_interval(x: ArrayLike, y: ArrayLike) -> Interval:
    """Fisher's z interval of Pearson's r; (-1, 1) where the data say nothing.

    That is: a constant array, or fewer than four examples (the standard error is 1/sqrt(N - 3)).
    """
    x, y = _paired(x, y)
    if _is_constant(x) or _is_constant(y):
        return Interval(-1.0, 1.0)
    return Interval(*map(float, stats.pearsonr(x, y).confidence_interval(CONFIDENCE)))


def student(count: int) -> float:
    """Half-width of a 95 % interval, in standard errors that ``count`` values tell of: Student's t
    with one degree of freedom less."""
    return float(stats.t.ppf(TAILS[1], count - 1))


def mean_interval(values: ArrayLike) -> Interval:
    """Student's t interval of the mean of (S,) values, one per seed.

    Three seeds give 2 degrees of freedom, that is mean ± 2.5 standard deviations: wide, and
    rightly so. Raises LabError for fewer than two values.
    """
    values = _vector(values)
    if len(values) < 2:
        raise LabError("interval of a mean from 1 value: give at least 2 seeds")
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    half = student(len(values)) * error
    return Interval(float(mean - half), float(mean + half))


def mean_with_interval(values: ArrayLike) -> Difference:
    """Mean of (S,) values, one per seed, with :func:`mean_interval`."""
    return Difference(float(_vector(values).mean()), *mean_interval(values))


def clustered_mean(
    values: NDArray[np.float64], first: NDArray, second: NDArray
) -> tuple[float, float]:
    """Mean of values (K,) and its two-way cluster-robust variance, never below that of either way
    alone.

    Values of the same ``first`` (K,) belong together, and so do those of the same ``second`` (K,);
    no pair of both stands twice (Cameron, Gelbach and Miller 2011, section 2).
    """
    mean = values.mean()
    around = values - mean
    ways = [_between(around, cluster) for cluster in (first, second)]
    alone = float(np.sum(around**2)) / len(values) ** 2
    return float(mean), max(sum(ways) - alone, *ways)


def _between(around: NDArray[np.float64], cluster: NDArray) -> float:
    """Variance of a mean around which (K,) values lie, where those of a cluster vary together."""
    _, which = np.unique(cluster, return_inverse=True)
    sums = np.bincount(which, weights=around)
    if len(sums) == 1:
        return 0.0  # a single one tells nothing of how far they lie apart
    return float(len(sums) / (len(sums) - 1) * np.sum(sums**2) / len(around) ** 2)


def paired_difference(a: ArrayLike, b: ArrayLike, n_boot: int = 2000, seed: int = 0) -> Difference:
    """Mean of a - b over the same examples, with its 95 % interval.

    Of one run each it is a percentile bootstrap over the examples. With seeds it is for other seeds
    *and* other examples: the two-way cluster-robust variance of :func:`clustered_mean`, its part
    between seeds widened to Student's t of S − 1 degrees of freedom. (Drawing few seeds with
    replacement would be too sure: three of them never leave their own extremes.)

    Args:
        a, b: per-example scores or correctness, (N,) or (S, N) with one row per training seed. A
            (N,) array stands for every seed of the other one (a hard prompt has no seeds).
        n_boot: bootstrap draws.
        seed: of the draws; the same seed gives the same interval.
    """
    difference = _paired_by_seed(a, b)  # (S, N)
    if len(difference) > 1:
        return _over_seeds_and_examples(difference)
    rng = np.random.default_rng(seed)
    n_examples = difference.shape[1]
    draws = [difference[0, rng.integers(n_examples, size=n_examples)].mean() for _ in range(n_boot)]
    low, high = np.quantile(draws, TAILS)
    return Difference(float(difference.mean()), float(low), float(high))


def _over_seeds_and_examples(difference: NDArray[np.float64]) -> Difference:
    n_seeds = len(difference)
    seed, example = np.indices(difference.shape).reshape(2, -1)  # (S · N,) each
    mean, variance = clustered_mean(difference.ravel(), seed, example)
    between_seeds = difference.mean(axis=1).var(ddof=1) / n_seeds
    half = float(np.sqrt(Z**2 * variance + (student(n_seeds) ** 2 - Z**2) * between_seeds))
    return Difference(mean, mean - half, mean + half)


def detectable_effect(difference: Difference) -> float:
    """The smallest effect that an interval of this width leaves zero out for with 80 % power.

    That is (z(0.975) + z(0.8)) standard errors, read off the half-width: 1.43 half-widths, in the
    unit of the difference. Of an interval that few seeds have widened to Student's t it is an upper
    bound in the mean over repetitions (three seeds show 1.31 half-widths, five 1.35); the width of
    any one such interval is itself uncertain.
    """
    half_width = (difference.high - difference.low) / 2
    return half_width * (1 + float(stats.norm.ppf(POWER)) / Z)


def mcnemar_exact(a_correct: ArrayLike, b_correct: ArrayLike) -> float:
    """Two-sided p-value that two prompts are equally often right, from (N,) booleans each.

    Only examples that exactly one of them gets right count; if there are none, p = 1.
    """
    a, b = _paired(a_correct, b_correct)
    only_a, only_b = int(np.sum(a > b)), int(np.sum(a < b))
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def false_discovery(p_values: ArrayLike) -> NDArray[np.float64]:
    """Benjamini and Hochberg's adjusted p-values, (M,) in the order given.

    Calling the ones <= q discoveries keeps the expected share of false ones among them at q.

    Raises:
        LabError: for none, or values that are not between 0 and 1.
    """
    p = _vector(p_values)
    if p.min() < 0 or p.max() > 1:
        raise LabError(f"p-values between {p.min():g} and {p.max():g}: give values from 0 to 1")
    return stats.false_discovery_control(p, method="bh")


def flip_rate(predictions_a: ArrayLike, predictions_b: ArrayLike) -> float:
    """Share of the examples whose predicted class differs; (N,) class indices or names each."""
    a, b = np.asarray(predictions_a), np.asarray(predictions_b)
    _same_examples(a, b)
    return float(np.mean(a != b))


def worse_better_equal(scores: ArrayLike, baseline: float) -> Counts:
    """How many of the scores (one per permutation) are worse, better, equal to the baseline."""
    gain = _vector(scores) - baseline
    worse, better = int(np.sum(gain < -ROUNDING)), int(np.sum(gain > ROUNDING))
    return Counts(worse, better, len(gain) - worse - better)


def scores(predictions: ArrayLike, targets: ArrayLike, metric: str) -> NDArray[np.float64]:
    """Score of each row of a prediction matrix (R, N) against the targets (N,): (R,).

    Args:
        metric: ``accuracy``, or ``pearson`` (0 for a row that is constant).
    """
    predictions, targets = _matrix(predictions, targets)
    return _weighted_scores(predictions, targets, metric, np.ones((1, len(targets))))[0]


def bootstrap_scores(
    predictions: ArrayLike,
    targets: ArrayLike,
    metric: str,
    n_boot: int = 2000,
    seed: int | np.random.SeedSequence = 0,
) -> NDArray[np.float64]:
    """Scores of each row (R, N) on examples drawn anew, the same draws for all rows: (B, R)."""
    predictions, targets = _matrix(predictions, targets)
    n = len(targets)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_boot)
    return _weighted_scores(predictions, targets, metric, weights)


def difference_of_scores(
    a: ArrayLike, b: ArrayLike, targets: ArrayLike, metric: str, n_boot: int = 2000, seed: int = 0
) -> Difference:
    """Mean score of the rows of ``a`` minus that of ``b``, paired bootstrap over examples.

    Args:
        a, b: predictions (R, N) and (Q, N) for the same N examples.
    """
    values = [scores(rows, targets, metric).mean() for rows in (a, b)]
    drawn = [bootstrap_scores(rows, targets, metric, n_boot, seed).mean(1) for rows in (a, b)]
    low, high = np.quantile(drawn[0] - drawn[1], TAILS)
    return Difference(float(values[0] - values[1]), float(low), float(high))


def spread(
    predictions: ArrayLike, targets: ArrayLike, metric: str, n_boot: int = 2000, seed: int = 0
) -> Difference:
    """Best minus worst score over the rows (R, N), with a paired bootstrap interval.

    The interval is that of the two rows as they were found; that they were picked as the extremes
    of R is not in it. Like any maximum, the spread grows with R even where all rows are equally
    good: `noise_share` and `best_on_held_out` say how much of it is only that.
    """
    value = scores(predictions, targets, metric)
    pair = np.asarray(predictions)[[value.argmax(), value.argmin()]]
    return difference_of_scores(pair[:1], pair[1:], targets, metric, n_boot, seed)


def noise_share(
    predictions: ArrayLike, targets: ArrayLike, metric: str, n_boot: int = 2000, seed: int = 0
) -> float:
    """Share of the variance between R rows' scores that comes from the choice of N examples: 0…1.

    The variance of a row's score around the mean of all rows, over examples drawn anew, against the
    variance between rows that was seen. 1: rows that are equally good in truth would differ as
    much. For accuracies it is 1/F of a two-way analysis of variance without replication (Fisher).
    """
    value = scores(predictions, targets, metric)
    if len(value) < 2 or np.ptp(value) < ROUNDING:
        return 1.0  # nothing varies
    seen = value.var(ddof=1)
    drawn = bootstrap_scores(predictions, targets, metric, n_boot, seed)  # (B, R)
    around = drawn - drawn.mean(axis=1, keepdims=True)
    rows = around.shape[1]
    noise = around.var(axis=0).mean() * rows / (rows - 1)
    return float(min(1.0, noise / seen))


def best_on_held_out(
    predictions: ArrayLike,
    baseline: ArrayLike,
    targets: ArrayLike,
    metric: str,
    seed: int = 0,
    n_boot: int = 2000,
) -> HeldOut:
    """What the best of R rows gains over a baseline, on examples that it was not chosen on.

    The N examples are cut into two random halves; the best row of each half is reported on the
    other one, and the two gains are averaged. Examples are drawn anew within their half for the
    interval, the choice held fixed. A best chosen and reported on the same examples gains even
    where all rows are equally good: the winner's curse.

    Args:
        predictions: (R, N); baseline: (N,) predictions to compare with; targets: (N,).
        seed: of the halves and the draws: the same for the same number of examples.

    Raises:
        LabError: for too few examples to cut in halves, shapes that do not fit, or another metric.
    """
    predictions, targets = _matrix(predictions, targets)
    baseline, _ = _matrix(np.atleast_2d(baseline), targets)
    if len(targets) < LEAST_TO_HALVE:
        raise LabError(
            f"{len(targets)} examples are too few to cut in halves; score at least {LEAST_TO_HALVE}"
        )
    order = np.random.default_rng(seed).permutation(len(targets))
    halves = np.array_split(order, 2)
    chosen, reported, drawn = [], [], []
    # each half draws for itself: the same draws for both would move the two gains in step
    streams = np.random.SeedSequence(seed).spawn(2)
    for (here, there), stream in zip((halves, halves[::-1]), streams, strict=True):
        best = scores(predictions[:, here], targets[here], metric).argmax()
        pair = np.vstack([predictions[best], baseline[0]])  # (2, N)
        chosen.append(-np.diff(scores(pair[:, here], targets[here], metric))[0])
        reported.append(-np.diff(scores(pair[:, there], targets[there], metric))[0])
        anew = bootstrap_scores(pair[:, there], targets[there], metric, n_boot, stream)
        drawn.append(anew[:, 0] - anew[:, 1])
    redrawn = np.mean(drawn, axis=0)  # (B,)
    low, high = np.quantile(redrawn, TAILS)
    gain = Difference(float(np.mean(reported)), float(low), float(high))
    return HeldOut(float(np.mean(chosen)), gain, redrawn)


def _weighted_scores(
    predictions: NDArray, targets: NDArray, metric: str, weights: NDArray
) -> NDArray[np.float64]:
    """Scores of R rows under B weightings of the N examples: (B, R)."""
    total = weights.sum(axis=1, keepdims=True)  # (B, 1)
    if metric == "accuracy":
        return weights @ (predictions == targets).T.astype(float) / total
    if metric != "pearson":
        raise LabError(f"metric {metric!r} is unknown; use accuracy or pearson")
    weights = weights / total
    predictions, targets = _of_unit_size(predictions), _of_unit_size(targets)
    x, y = predictions - predictions.mean(1, keepdims=True), targets - targets.mean()
    mean_x, mean_y = weights @ x.T, (weights @ y)[:, None]  # (B, R), (B, 1)
    covariance = weights @ (x * y).T - mean_x * mean_y
    variance = (weights @ (x**2).T - mean_x**2) * ((weights @ y**2)[:, None] - mean_y**2)
    defined = variance > 1e-24  # of values up to 1: what is constant varies by rounding alone
    safe = np.sqrt(np.where(defined, variance, 1.0))
    return np.where(defined, covariance / safe, 0.0)


def _of_unit_size(values: NDArray) -> NDArray[np.float64]:
    """Each row of (…, N) over the power of two just above its largest value: no correlation, and no
    bit of one, depends on it."""
    _, power = np.frexp(np.abs(values).max(axis=-1, keepdims=True))
    return np.ldexp(values, -power)


def _matrix(predictions: ArrayLike, targets: ArrayLike) -> tuple[NDArray, NDArray]:
    predictions, targets = _checked(predictions), _vector(targets)
    if predictions.ndim != 2 or predictions.shape[1] != len(targets):
        raise LabError(
            f"predictions of shape {predictions.shape} for {len(targets)} targets: give one row "
            "per order and one column per example"
        )
    return predictions, targets


def _count(correct: ArrayLike) -> tuple[int, int]:
    right = _vector(correct)
    if not np.isin(right, (0, 1)).all():
        raise LabError("accuracy of values other than 0 and 1: give booleans, or the tuple (k, n)")
    return int(right.sum()), len(right)


def _vector(values: ArrayLike) -> NDArray[np.float64]:
    """A checked (N,) array: one row, not empty, no NaN."""
    array = _checked(values)
    if array.ndim != 1:
        raise LabError(f"scores of shape {array.shape}: give one value per example, shape (N,)")
    return array


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    if not array.size:
        raise LabError("scores of no examples: give at least 1")
    if not np.isfinite(array).all():
        raise LabError("NaN or infinity among the scores: look at the prompt that produced them")
    return array


def _paired(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = _vector(x), _vector(y)
    _same_examples(x, y)
    return x, y


def _same_examples(x: NDArray, y: NDArray) -> None:
    if x.shape != y.shape or not x.size:
        raise LabError(
            f"paired comparison of shapes {x.shape} and {y.shape}: score both on the same examples"
        )


def _paired_by_seed(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """The matrix a - b, (S, N); an array without seeds is repeated for each of the other's."""
    a, b = np.atleast_2d(_checked(a)), np.atleast_2d(_checked(b))
    same_seeds = len(a) == len(b) or 1 in (len(a), len(b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not same_seeds:
        raise LabError(
            f"paired comparison of shapes {a.shape} and {b.shape}: "
            "score both on the same examples with the same seeds, (seeds, examples)"
        )
    return a - b


def _is_constant(x: NDArray[np.float64]) -> bool:
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())
