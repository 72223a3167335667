"""Figures of notebook 02: prompt lengths, and virtual tokens among the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, cycle
from typing import NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator, PercentFormatter
from numpy.typing import ArrayLike

from labkit.core.errors import LabError
from labkit.core.statistics import Difference, mean_interval, paired_difference
from labkit.course.figures.drawings import (
    HEADING,
    MARGIN,
    MONO,
    PIXELS,
    SANS,
    Drawing,
    box,
    drawing,
    label,
    listed,
    text,
)
from labkit.course.figures.shared import interval_ends, level, name_rows
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    GREEN,
    GREY,
    INK,
    PALETTE,
    VERMILLION,
    CourseFigure,
    styled,
)
from labkit.experiments.base.rows import paired_answers
from labkit.soft_prompt import Neighbours


@styled
def length_curve(
    x: Sequence[float],
    values_by_seed: ArrayLike,
    x_label: str,
    title: str,
    majority: float,
    hard: float | None = None,
    live: tuple[float, float] | None = None,
) -> CourseFigure:
    """Accuracy against prompt length or learning rate, on a logarithmic axis.

    Args:
        x: (L,) lengths or rates, increasing. x_label: what they are.
        values_by_seed: (S, L) accuracies, NaN where a seed was not run. Each is a dot; the line is
            their mean and the band its Student t interval, where there are two seeds or more.
        majority: the share of the largest class. hard: a hard prompt's accuracy.
        live: (x, accuracy) of what the reader has just run.
    """
    by_seed = np.atleast_2d(np.asarray(values_by_seed, dtype=float))  # (S, L)
    fig = CourseFigure(4.2, title)
    ax = fig.subplots()
    for values in by_seed:
        ax.plot(x, values, "o", color=BLUE, markersize=6, markeredgecolor="white", zorder=3)
    columns = [column[np.isfinite(column)] for column in by_seed.T]
    ax.plot(x, [column.mean() for column in columns], color=BLUE, linewidth=2)
    ends = [mean_interval(c) if len(c) > 1 else (np.nan, np.nan) for c in columns]
    ax.fill_between(x, *interval_ends(ends), color=BLUE, alpha=0.15, linewidth=0)
    handles = [
        Line2D([], [], color=BLUE, marker="o", label="soft prompt: each seed, mean"),
        Patch(facecolor=BLUE, alpha=0.15, label="95 % interval of the mean over seeds"),
    ]
    if hard is not None:
        handles.append(level(ax, hard, f"hard prompt {hard:.2f}", VERMILLION, "-."))
    handles.append(level(ax, majority, f"majority class {majority:.2f}"))
    if live is not None:
        handles += ax.plot(*live, "*", color=GREEN, markersize=13, zorder=4, label="run live")
    ax.set_xscale("log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=x_label, ylabel="accuracy on test (share correct)")
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


@styled
def first_steps(losses: Mapping[str, Sequence[float]], title: str, window: int = 5) -> CourseFigure:
    """The first training losses of several runs: thin as they are, thick their running means.

    Args:
        losses: name -> a loss per step, in nats per example.
        window: a mean is taken over that many steps, and drawn at the last of them.
    """
    fig = CourseFigure(3.2, title)
    ax = fig.subplots()
    for colour, (name, values) in zip(cycle(PALETTE), losses.items(), strict=False):
        steps = np.arange(1, len(values) + 1)
        means = np.convolve(values, np.ones(window) / window, "valid")
        ax.plot(steps, values, color=colour, linewidth=0.8, alpha=0.4)
        ax.plot(steps[window - 1 :], means, color=colour, linewidth=2.2, label=name)
    ax.set(xlabel="training step", ylabel=f"training loss (nats)\nthick: mean of {window} steps")
    fig.legend(loc=BELOW, ncols=len(losses))
    return fig


@styled
def similarity_histogram(groups: Mapping[str, ArrayLike], title: str) -> CourseFigure:
    """How near the virtual tokens are to the vocabulary: one panel per group, on one scale.

    Args:
        groups: name (such as trained, initial, random) -> (P,) cosines of each virtual token with
            its nearest vocabulary entry.
    """
    fig = CourseFigure(1.3 + 1.05 * len(groups), title)
    panels = np.atleast_1d(fig.subplots(len(groups), 1, sharex=True, sharey=True))
    groups = {name: np.clip(values, -1, 1) for name, values in groups.items()}  # 1.0000001 is 1
    every = np.concatenate(list(groups.values()))
    bins = np.arange(np.floor(min(0.0, every.min()) * 20), 21) / 20
    for ax, colour, (name, values) in zip(panels, cycle(PALETTE), groups.items(), strict=False):
        sns.histplot(x=values, bins=bins, stat="probability", ax=ax, color=colour, alpha=0.6)
        ax.axvline(np.median(values), color=INK, linewidth=1.5)
        ax.set_ylabel("")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        label = f"{name} (n = {len(values)})\nmedian {np.median(values):.2f}"
        ax.text(1.01, 0.5, label, transform=ax.transAxes, va="center", size=9)
    panels[-1].set_xlabel("cosine with the nearest vocabulary entry (line: median)")
    fig.supylabel("share of the virtual tokens", size=10)
    return fig


class Duel(NamedTuple):
    """Two settings on the same sentences and seeds.

    ``gained``, ``lost``: share of the sentences that only the first, only the second gets right.
    ``difference``: first minus second, with its interval over seeds and sentences.
    """

    gained: float
    lost: float
    difference: Difference


def duels(rows: Sequence[Mapping], settings: Sequence[str]) -> dict[tuple[str, str], Duel]:
    """Each setting against each other one, from the rows of a result with the answers in them.

    Raises:
        LabError: for two settings that have no seed in common.
    """
    outcomes = {}
    for first, second in combinations(settings, 2):
        pairs = paired_answers(rows, first, second)
        if pairs is None:
            raise LabError(f"{first} and {second} have no seed in common: run both with the same")
        one, other = pairs  # (seeds, N)
        gained, lost = float((one & ~other).mean()), float((other & ~one).mean())
        value, low, high = paired_difference(one, other)
        outcomes[first, second] = Duel(gained, lost, Difference(value, low, high))
        outcomes[second, first] = Duel(lost, gained, Difference(-value, -high, -low))
    return outcomes


@styled
def length_duels(outcomes: Mapping[tuple[str, str], Duel], chosen: str) -> CourseFigure:
    """One length against every other: sentences gained and lost, and what is left of that."""
    against = sorted((second for first, second in outcomes if first == chosen), key=float)
    others = {name: outcomes[chosen, name] for name in against}
    fig = CourseFigure(1.5 + 0.45 * len(others), f"Length {chosen} {_comparison(others)}")
    ax = fig.subplots()
    for y, duel in enumerate(others.values()):
        ax.barh(y, duel.gained, color=BLUE, height=0.6, alpha=0.6)
        ax.barh(y, -duel.lost, color=VERMILLION, height=0.6, alpha=0.6, hatch="//", ec="white")
        value, low, high = duel.difference
        ax.errorbar(
            value, y, xerr=[[value - low], [high - value]], fmt="D", color=INK, mec="white", ms=7
        )
    widest = max(max(duel.gained, duel.lost) for duel in outcomes.values()) * 1.1
    ax.axvline(0, color=GREY, linewidth=1)
    name_rows(ax, [f"against {name}" for name in others])
    ax.set_xlim(-widest, widest)
    ax.set_xlabel("share of the test sentences, over the seeds")
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    gained, lost, difference = (ax.containers[i] for i in range(3))
    names = [f"right with {chosen} only", "right with the other only", "difference, 95 % interval"]
    fig.legend([gained, lost, difference], names, loc=BELOW, ncols=3)
    return fig


def _comparison(others: Mapping[str, Duel]) -> str:
    """Which lengths lie behind, which ahead, and which can't be told apart."""
    behind = [name for name, duel in others.items() if duel.difference.low > 0]
    ahead = [name for name, duel in others.items() if duel.difference.high < 0]
    open_ = [name for name in others if name not in behind + ahead]
    parts = [("beats", behind), ("loses to", ahead), ("can't be told from", open_)]
    return ", ".join(f"{verb} {listed(names)}" for verb, names in parts if names)


ENTRY, COSINE_OF_ONE = 108, 105  # pixels: the room for a word, the bar of a cosine of one


def nearest_words(groups: Mapping[str, Neighbours], row: int) -> Drawing:
    """The vocabulary entries nearest to one row of each group's prompt, with their cosines.

    Args:
        groups: name (such as trained, where it started, random) -> nearest entries of its rows.
        row: which one; row r is the virtual token e(r+1).
    """
    nearest = {name: label(entries.tokens[row][0]) for name, entries in groups.items()}
    first, *others = nearest
    same = [name for name in others if nearest[name] == nearest[first]]
    title = f"e{row + 1} is nearest to “{nearest[first]}” ({listed([first, *same])})"
    body: list[str] = []
    spoken = []
    for column, (name, neighbours) in enumerate(groups.items()):
        left = MARGIN + column * (PIXELS - 2 * MARGIN) / len(groups)
        body.append(text(left, HEADING + 14, f"{name}: cosine", f'font-size="13" {SANS}'))
        colour = BLUE if name == first else GREY
        words, cosines = map(label, neighbours.tokens[row]), neighbours.cosines[row].tolist()
        entries = list(zip(words, cosines, strict=True))
        for place, (entry, cosine) in enumerate(entries):
            body += _entry(left, HEADING + 24 + 22 * place, entry, cosine, colour)
        spoken.append(f"{name}: " + ", ".join(f"{entry} {cosine:.2f}" for entry, cosine in entries))
    height = HEADING + 34 + 22 * max(len(entries.tokens[row]) for entries in groups.values())
    return drawing(height, title, body, ". ".join(spoken))


def _entry(left: float, y: float, entry: str, cosine: float, colour: str) -> Iterator[str]:
    """A bar behind its word, with its cosine."""
    start, end = left + ENTRY, left + ENTRY + COSINE_OF_ONE * max(cosine, 0.0)
    yield text(start - 6, y + 13, entry, f'text-anchor="end" font-size="12" {MONO}')
    yield box(start, y, end - start, 17, colour, outlined=False)
    yield text(end + 5, y + 13, f"{cosine:.2f}", f'font-size="12" {SANS}')
