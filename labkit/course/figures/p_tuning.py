"""Figures of notebook 03: a family of templates, how it learns, and what each method trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from labkit.core.statistics import accuracy_interval
from labkit.course.figures.shared import (
    interval_mark,
    level,
    name_rows,
    reference_line,
    thousands,
    value_beside,
)
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALETTE,
    VERMILLION,
    CourseFigure,
    styled,
)

WINDOW = 10
"""Steps over which values are averaged for the eye."""


@styled
def family_spread(
    accuracies: Mapping[str, ArrayLike],
    members: Sequence[str],
    ahead: ArrayLike,
    title: str,
    *,
    marked: str,
    reference: float,
    accuracy: str,
    difference: str,
) -> CourseFigure:
    """Left: each member's accuracy under each method. Right: which trained method is ahead.

    Args:
        accuracies: method → (S, M), a row per seed; dots are seeds, a line joins a member's means.
        members: names of the M members; marked: the one drawn in another colour.
        ahead: (S, M, steps) difference of two methods' losses, drawn as means over ten steps.
        reference: the majority class's accuracy.
        accuracy, difference: what the two axes show, with the unit.
    """
    fig = CourseFigure(4.3, title)
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    means = np.stack([np.asarray(rows).mean(0) for rows in accuracies.values()])  # (methods, M)
    for column, member in enumerate(members):
        colour, order = (VERMILLION, 3) if member == marked else (BLUE, 2)
        left.plot(range(len(means)), means[:, column], color=colour, linewidth=1.4, zorder=order)
        for x, rows in enumerate(accuracies.values()):
            values = np.asarray(rows)[:, column]
            left.plot([x] * len(values), values, "o", color=colour, ms=4, alpha=0.6, zorder=order)
    spreads = [np.asarray(rows).std(axis=1, ddof=1).mean() for rows in accuracies.values()]
    names = [f"{m}\nspread {s:.3f}" for m, s in zip(accuracies, spreads, strict=True)]
    left.set_xticks(range(len(means)), names)
    majority = level(left, reference, f"majority class {reference:.2f}")
    left.set(ylabel=accuracy, xlim=(-0.3, len(means) - 0.7))
    _learning(right, np.asarray(ahead), GREEN, "mean over templates and seeds (thin: each)")
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(xlabel="training step", ylabel=f"{difference},\nmean of {WINDOW} steps")
    handles = [
        Line2D([], [], color=VERMILLION, marker="o", ms=4, label=marked),
        Line2D([], [], color=BLUE, marker="o", ms=4, label="other templates (dots: seeds)"),
        majority,
        *_lines(right),
    ]
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


def _learning(ax: Axes, losses: np.ndarray, colour: str, name: str) -> None:
    """Values (S, M, steps): a thin line per run, a thick one for the mean."""
    runs = losses.reshape(-1, losses.shape[-1])
    smooth = np.apply_along_axis(np.convolve, 1, runs, np.ones(WINDOW) / WINDOW, "valid")
    steps = np.arange(WINDOW, losses.shape[-1] + 1)
    ax.plot(steps, smooth.T, color=colour, linewidth=0.6, alpha=0.3)
    ax.plot(steps, smooth.mean(0), color=colour, linewidth=2.4, label=name)


def _lines(ax: Axes) -> list[Line2D]:
    return ax.get_legend_handles_labels()[0]


@styled
def member_figure(
    member: str,
    right: Mapping[str, ArrayLike],
    losses: Mapping[str, ArrayLike],
    reference: float,
) -> CourseFigure:
    """One template under each method: accuracy with its interval, and the loss of each run.

    Args:
        right: method → (S, N) whether each example was right, a row per seed.
        losses: trained method → (S, steps).
        reference: the majority class's accuracy.
    """
    means = ", ".join(f"{method} {np.mean(rows):.3f}" for method, rows in right.items())
    fig = CourseFigure(3.2, f"“{member}”: {means}")
    bars, curves = fig.subplots(1, 2)
    for y, rows in enumerate(right.values()):
        for offset, row in zip(np.linspace(-0.2, 0.2, len(rows)) if len(rows) > 1 else [0], rows,
                               strict=True):  # fmt: skip
            interval_mark(bars, y + offset, (np.mean(row), *accuracy_interval(row)))
    reference_line(bars, reference, "majority class", GREY)
    name_rows(bars, list(right))
    bars.set(xlabel="accuracy on test, 95 % interval (a line per seed)")
    for i, (method, values) in enumerate(losses.items()):
        _learning(curves, np.asarray(values)[:, None], PALETTE[i + 1], method)
    curves.set(xlabel="training step", ylabel="training loss (nats)")
    curves.set_ylim(bottom=0)
    curves.legend()
    return fig


@styled
def parameter_bars(
    methods: Sequence[str], trained: Sequence[int], kept: Sequence[int], title: str
) -> CourseFigure:
    """Parameters on a logarithmic axis: bars for what is trained, diamonds for what is kept."""
    fig = CourseFigure(1.5 + 0.34 * len(methods), title)
    ax = fig.subplots()
    places = range(len(methods))
    ax.barh(places, trained, height=0.6, color=BLUE, label="trained")
    ax.plot(kept, places, "D", color=ORANGE, markeredgecolor=INK, markersize=6, label="kept")
    for y, count in enumerate(trained):
        value_beside(ax, y, f"{count:,}")
    ax.set_xscale("log")
    thousands(ax.xaxis)
    name_rows(ax, methods)
    ax.set_xlabel("parameters (logarithmic axis)")
    fig.legend(loc=BELOW, ncols=2)
    return fig


@styled
def scores_by_size(
    methods: Mapping[str, tuple[int, Sequence[float]]],
    title: str,
    *,
    levels: Mapping[str, float],
    ylabel: str,
) -> CourseFigure:
    """Scores against trained parameters: a dot per seed, a bar at the mean of a method.

    Args:
        methods: name → (trained parameters, score of each seed).
        levels: name → score of what trains nothing, drawn across.
    """
    fig = CourseFigure(4.0, title)
    ax = fig.subplots()
    for i, (name, (trained, scores)) in enumerate(methods.items()):
        colour = PALETTE[i % len(PALETTE)]
        ax.plot(trained, np.mean(scores), "_", color=colour, ms=30, mew=2.4)
        ax.plot([trained] * len(scores), scores, "o", color=colour, ms=6, mec="white", mew=0.5,
                label=name)  # fmt: skip
    for (name, score), style in zip(levels.items(), cycle(("--", ":", "-.")), strict=False):
        level(ax, score, f"{name} {score:.3f}", INK, style)
    ax.set_xscale("log")
    thousands(ax.xaxis)
    ax.margins(x=0.12, y=0.1)
    ax.set(xlabel="trained parameters (logarithmic axis)", ylabel=ylabel)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=-(-(len(methods) + len(levels)) // 2))
    return fig
