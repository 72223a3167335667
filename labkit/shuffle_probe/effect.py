"""The mean order effect over prompts, orders and sentences: its interval, and where it comes from.

The effect is the score of a prompt in a random order minus its score in the trained one. Another
training would have given another prompt, another draw other orders, another test set other
sentences; an interval that leaves one of them out is too narrow. Orders belong to their prompt (the
same order of another prompt is another thing), sentences are the same for all.

Sources: Owen 2007, "The pigeonhole bootstrap"; Searle, Casella and McCulloch 1992, "Variance
Components", for the method of moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.core import statistics
from labkit.core.errors import LabError
from labkit.core.statistics import Difference
from labkit.shuffle_probe.probe import Probe

FACTORS = ("prompts", "orders", "sentences")


# ---- what was measured ----


def mean_effect(
    probes: Sequence[Probe],
    n_boot: int = 2000,
    seed: int = 0,
    factors: Sequence[str] = FACTORS,
) -> Difference:
    """Mean over prompts of (random order − trained order), prompts, orders and sentences redrawn.

    Prompts drawn with replacement say too little where there are few of them: two give three
    different means. Over several prompts the interval is therefore Student's t of P − 1 degrees of
    freedom for what differs between their effects (the prompt, its orders, its own answers to the
    sentences), and a normal one for what the same sentences do to all of them. With a single
    prompt it is the bootstrap's, and about that prompt.

    Args:
        probes: one per prompt, on the same sentences.
        factors: what is drawn anew; the others stay as they are.

    Raises:
        LabError: for probes of different sentences, or none.
    """
    _check(probes)
    # streams of their own: as many orders as sentences would otherwise get the same draws
    sentences, orders = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.default_rng(orders)
    drawn = np.stack([_drawn(probe, n_boot, rng, sentences, factors) for probe in probes])  # (P, B)
    values = np.array([probe.scores.mean() - probe.baseline for probe in probes])  # (P,)
    return _over_prompts(values, drawn, redrawn="prompts" in factors)


def best_effect(probes: Sequence[Probe], n_boot: int = 2000, seed: int = 0) -> Difference:
    """Mean over prompts of what the best of each one's orders gains where it was not chosen.

    Prompts and sentences are redrawn as in :func:`mean_effect`; each prompt's choice is held fixed,
    see :func:`labkit.core.statistics.best_on_held_out`.

    Raises:
        LabError: for probes of different sentences, or none.
    """
    _check(probes)
    held_out = [
        statistics.best_on_held_out(p.predictions, p.trained, p.targets, p.metric, seed, n_boot)
        for p in probes
    ]
    values = np.array([best.reported.value for best in held_out])  # (P,)
    drawn = np.stack([best.drawn for best in held_out])  # (P, B)
    return _over_prompts(values, drawn, redrawn=True)


def _over_prompts(
    values: NDArray[np.float64], drawn: NDArray[np.float64], *, redrawn: bool
) -> Difference:
    """Mean of P prompts' values (P,), with the interval of B draws of each (P, B).

    The draws are of the same sentences for all prompts and of each prompt's own orders: what two
    prompts' draws have in common (their covariance) comes from the sentences. All else that moves
    a prompt's value is in the spread between the values already, and is counted there only.
    """
    count = len(values)
    mean, of_mean = float(values.mean()), drawn.mean(axis=0)  # (B,)
    if count == 1 or not redrawn:
        low, high = np.quantile(of_mean, statistics.TAILS)
        return Difference(mean, float(low), float(high))
    covariance = np.cov(drawn)  # (P, P)
    common = max(0.0, float(covariance[~np.eye(count, dtype=bool)].mean()))
    between = values.var(ddof=1) / count
    for_others = statistics.student(count) ** 2 * between + statistics.Z**2 * common
    # values that are close by chance: other prompts can't be known better than these ones
    half = float(np.sqrt(max(for_others, statistics.Z**2 * of_mean.var(ddof=1))))
    return Difference(mean, mean - half, mean + half)


def spread_by_factor(probes: Sequence[Probe], n_boot: int = 1000, seed: int = 0) -> dict:
    """Half-width of the mean effect's interval if only one factor were drawn anew, for each."""
    half_widths = {}
    for factor in FACTORS:
        if factor == "prompts" and len(probes) == 1:
            continue
        effect = mean_effect(probes, n_boot, seed, [factor])
        half_widths[factor] = (effect.high - effect.low) / 2
    return half_widths


def pooled_effect(effects: NDArray[np.float64]) -> Difference:
    """Mean over prompts and sentences of an effect, with its interval for other ones of both.

    Args:
        effects: (P, N), of prompt p on sentence n, averaged over the orders that it was read in.

    Raises:
        LabError: for fewer than two prompts or sentences, of which nothing about others follows.
    """
    prompt, sentence = np.indices(effects.shape).reshape(2, -1)  # (P · N,) each
    return scattered_effect(effects.ravel(), prompt, sentence)


def scattered_effect(
    effects: NDArray[np.float64], prompt: NDArray, sentence: NDArray
) -> Difference:
    """The same where each prompt was read on sentences of its own draw.

    Effects of the same prompt belong together (its orders are its own), and so do those of the same
    sentence: the variance is the two-way cluster-robust one, with Student's t of P − 1 degrees of
    freedom, see :func:`~labkit.core.statistics.clustered_mean`.

    Args:
        effects: (K,), of ``prompt`` (K,) on ``sentence`` (K,); no pair of both stands twice.

    Raises:
        LabError: for fewer than two prompts or sentences.
    """
    prompts, sentences = (len(np.unique(cluster)) for cluster in (prompt, sentence))
    if prompts < 2:
        raise LabError("the effect over one prompt; give at least two, or say which one it is of")
    if sentences < 2:
        raise LabError("the effect on one sentence; give at least two")
    mean, variance = statistics.clustered_mean(effects, prompt, sentence)
    half = float(statistics.student(prompts) * np.sqrt(variance))
    return Difference(mean, mean - half, mean + half)


def _check(probes: Sequence[Probe]) -> None:
    if not probes:
        raise LabError("the order effect of no probe; give at least one")
    first = probes[0]
    if any(not np.array_equal(probe.targets, first.targets) for probe in probes):
        raise LabError("the probes scored different sentences; score all on the same ones")


def _drawn(
    probe: Probe,
    n_boot: int,
    rng: np.random.Generator,
    sentences: np.random.SeedSequence,
    factors: Sequence[str],
) -> NDArray[np.float64]:
    """The prompt's own effect with other orders and sentences: (B,)."""
    count = len(probe.orders)
    if "sentences" in factors:
        both = np.vstack([probe.trained, probe.predictions])
        scores = statistics.bootstrap_scores(both, probe.targets, probe.metric, n_boot, sentences)
        trained, shuffled = scores[:, 0], scores[:, 1:]  # (B,), (B, R)
    else:
        trained, shuffled = np.full(n_boot, probe.baseline), np.tile(probe.scores, (n_boot, 1))
    if "orders" in factors:
        weights = rng.multinomial(count, np.full(count, 1 / count), size=n_boot) / count
        return (shuffled * weights).sum(axis=1) - trained
    return shuffled.mean(axis=1) - trained


# ---- what it is made of ----


@dataclass(frozen=True)
class Components:
    """Variances of the effect of one (prompt, order, sentence), by what they come from.

    Attributes:
        prompt: between prompts; None where there was only one.
        order: between the orders of a prompt; sentence: between sentences, alike for all prompts;
            prompt_sentence: between sentences, for one prompt and not another (0 with one prompt:
            all of it counts as the sentences'); rest: all else.
    """

    prompt: float | None
    order: float
    sentence: float
    prompt_sentence: float
    rest: float

    def variance(
        self, prompts: int, orders: int, sentences: int, scorings: int, pool: int | None = None
    ) -> float:
        """Of the mean effect, without the part that lies between prompts.

        Args:
            orders, sentences, scorings: of each prompt; in a full matrix scorings = orders ×
                sentences.
            pool: sentences of which each prompt reads its own draw; None: all read the same.
        """
        pool = pool or sentences
        # two prompts share a part of their draws that is as large as the draw's part of the pool
        distinct = 1 / pool + (1 - sentences / pool) / (prompts * sentences)
        return self._own(orders, sentences, scorings) / prompts + self.sentence * distinct

    def _own(self, orders: int, sentences: int, scorings: int) -> float:
        """Of one prompt's effect, what its orders and its own answers to the sentences add."""
        return self.order / orders + self.prompt_sentence / sentences + self.rest / scorings

    def half_width(
        self,
        prompts: int,
        orders: int,
        sentences: int,
        scorings: int,
        *,
        full: bool = True,
        pool: int | None = None,
    ) -> float:
        """Of the 95 % interval of the mean effect, as the design's analysis gives it.

        Args:
            orders, sentences, scorings, pool: as in :meth:`variance`.
            full: every order on every sentence. :func:`mean_effect` then takes Student's t for all
                that differs between prompts; in an incomplete design it is taken for the sentences
                too, by :func:`scattered_effect` over several prompts, by
                :meth:`~labkit.shuffle_probe.IncompleteProbe.mean_difference` over the orders and
                sentences of one.
        """
        clusters = prompts if prompts > 1 else min(orders, sentences)
        if (self.prompt is not None and prompts < 2) or (not full and clusters < 2):
            return np.inf  # nothing shows how far prompts, or orders, lie apart
        within = self.variance(prompts, orders, sentences, scorings, pool)
        if full and prompts == 1:
            return float(statistics.Z * np.sqrt(within))  # the bootstrap's quantiles
        between = (self.prompt or 0.0) / prompts
        own = self._own(orders, sentences, scorings) / prompts if full else within
        differs, common = between + own, within - own
        quantile = statistics.student(clusters)
        return float(np.sqrt(quantile**2 * differs + statistics.Z**2 * common))


def components(probes: Sequence[Probe]) -> Components:
    """Variance components by the method of moments, from full matrices of one task.

    Raises:
        LabError: for a regression (a correlation is no mean over sentences), fewer than two orders
            or sentences, or probes of different sentences.
    """
    _check(probes)
    if any(probe.metric != "accuracy" for probe in probes):
        raise LabError(
            "a correlation is no mean over sentences, so that its variance has no such components; "
            "take a task that is scored by accuracy"
        )
    effects = [probe.correct.astype(float) - (probe.trained == probe.targets) for probe in probes]
    if min(min(effect.shape) for effect in effects) < 2:
        raise LabError("variances of one order or one sentence; score at least two of each")
    tables = np.array([_two_way(effect) for effect in effects])  # (P, 3)
    order, sentences, rest = tables.mean(axis=0)
    common, prompt = sentences, None
    if len(effects) > 1:
        columns = np.cov([effect.mean(axis=0) for effect in effects])  # (P, P)
        common = columns[~np.eye(len(effects), dtype=bool)].mean()
        sampling = np.mean(
            [
                order / rows + (sentences - common) / count + rest / (rows * count)
                for rows, count in (effect.shape for effect in effects)
            ]
        )
        prompt = max(0.0, float(np.var([effect.mean() for effect in effects], ddof=1) - sampling))
    common = float(np.clip(common, 0, sentences))
    return Components(prompt, float(order), common, float(sentences - common), float(rest))


def _two_way(effect: NDArray[np.float64]) -> tuple[float, float, float]:
    """Variances between rows, between columns, and the rest, of an (R, N) matrix."""
    rows, columns = effect.shape
    by_row, by_column, mean = effect.mean(axis=1), effect.mean(axis=0), effect.mean()
    residual = effect - by_row[:, None] - by_column + mean
    rest = (residual**2).sum() / ((rows - 1) * (columns - 1))
    order = max(0.0, by_row.var(ddof=1) - rest / columns)
    sentence = max(0.0, by_column.var(ddof=1) - rest / rows)
    return order, sentence, rest
