"""What several notebooks draw: intervals, losses, matrices and answers, and the parts of figures.

Every function takes numbers and names, touches no global state and returns a figure. The title of
a figure is its finding; what is uncertain carries its 95 % interval.

    interval_bars(["hard", "soft"], [0.74, 0.85], [0.69, 0.83], [0.79, 0.87], reference=0.5,
                  reference_name="majority class", title="...", xlabel="accuracy on test")
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from labkit.core.statistics import accuracy_interval
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    ORANGE,
    PALETTE,
    VERMILLION,
    CourseFigure,
    shortened,
    styled,
)


@styled
def interval_bars(
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    reference: float | None = None,
    reference_name: str | None = None,
    *,
    title: str,
    xlabel: str,
    marked: Sequence[str] | None = None,
) -> CourseFigure:
    """Values with their intervals, one row per name in the order given, first on top.

    Args:
        lows, highs: the ends of the intervals, in the unit of the values.
        reference: drawn as a line through all rows, such as the majority class or 0.
        xlabel: what the values are, with their unit.
        marked: names that keep their colour, where the others are controls in grey.
    """
    fig = CourseFigure(1.4 + 0.34 * len(names), title)
    ax = fig.subplots()
    rows = zip(names, values, lows, highs, strict=True)
    for y, (name, *interval) in enumerate(rows):
        interval_mark(ax, y, interval, BLUE if marked is None or name in marked else GREY)
        value_beside(ax, y, f"{interval[0]:z.3f}")
    ax.set(xlabel=f"{xlabel}, 95 % interval", ylabel="")
    name_rows(ax, [textwrap.fill(name, 38) for name in names])
    ax.grid(axis="x", alpha=0.5)
    if reference is not None:
        reference_line(ax, reference, reference_name)
    return fig


@styled
def order_agreement(taus: Mapping[str, Sequence[float]], title: str) -> CourseFigure:
    """How near a method's order lies to the one that it was given: a dot a run, the median a bar.

    Args:
        taus: method -> Kendall's tau of each run; 1: handed back as given, 0: a random order.
    """
    fig = CourseFigure(1.4 + 0.34 * len(taus), title)
    ax = fig.subplots()
    for y, values in enumerate(taus.values()):
        middle = float(np.median(values))
        ax.plot([middle, middle], [y - 0.3, y + 0.3], color=VERMILLION, linewidth=2)
        ax.plot(values, [y] * len(values), "o", color=BLUE, alpha=0.6, markersize=7)
        value_beside(ax, y, f"{middle:z.2f}")
    name_rows(ax, list(taus))
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    ax.set(xlim=(-1.05, 1.05), ylabel="")
    ax.set_xlabel("Kendall's tau with the order it was given (bar and number: median)")
    ax.grid(axis="x", alpha=0.5)
    return fig


# ---------------------------------------------------------------- parts of figures


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """A row per name at 0, 1, 2, ..., the first on top."""
    ax.set_yticks(range(len(names)), list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def interval_mark(
    ax: Axes, y: float, interval: Sequence[float], colour: str = BLUE, name: str | None = None
) -> None:
    """A dot at a value and a line between the ends: interval is (value, low, high)."""
    value, low, high = interval
    ax.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
    ax.plot(value, y, "o", color=colour, markersize=7, label=name)


def over_prompts_mark(ax: Axes, y: float, line: Mapping, colour: str = BLUE) -> None:
    """A small grey dot for each prompt (``by_prompt``), and their mean with its interval
    (``mean_difference``)."""
    effects = line["by_prompt"]
    ax.plot(effects, [y] * len(effects), "o", color=GREY, alpha=0.55, markersize=4)
    interval_mark(ax, y, line["mean_difference"], colour)


def value_beside(ax: Axes, y: float, words: str) -> None:
    """Words to the right of the axes, at the height of a row."""
    right = ax.get_yaxis_transform()
    ax.text(1.01, y, words, transform=right, va="center_baseline", size=9)


def reference_line(ax: Axes, x: float, name: str | None = None, colour: str = VERMILLION) -> None:
    """A dashed upright line through all rows, its name and value above the axes."""
    ax.axvline(x, color=colour, linestyle="--", linewidth=1.3, zorder=1)
    words = f"{name} {x:.2f}" if name else f"{x:.2f}"
    top = ax.get_xaxis_transform()
    ax.text(x, 1.02, words, transform=top, ha="center", color=colour, size=9)


def level(ax: Axes, y: float, name: str, colour: str = GREY, style: str = "--") -> Line2D:
    """A line across at the height of a control, to stand in the legend under its name."""
    return ax.axhline(y, color=colour, linestyle=style, linewidth=1.3, label=name, zorder=1)


def thousands(axis: Axis) -> None:
    """Counts on an axis as 10,000."""
    axis.set_major_formatter(lambda count, _: f"{count:,.0f}")


def interval_ends(intervals: Sequence[tuple[float, float]]) -> NDArray:
    """The low and the high ends of M intervals, (2, M)."""
    return np.array(intervals, dtype=float).reshape(-1, 2).T


# ---------------------------------------------------------------- training


Curve = tuple[Sequence[int], Sequence[float], Sequence[int], Sequence[float]]


@styled
def loss_curves(
    curves: Mapping[str, Curve],
    title: str,
    metric: str = "accuracy",
    validation_size: int | None = None,
) -> CourseFigure:
    """Training loss, smoothed over the raw one, beside the metric on the validation split.

    Args:
        curves: name -> (steps, losses, validation steps, validation values); losses in nats per
            example.
        metric: the name of the validation values.
        validation_size: examples behind each of them; where it is given, the values are taken for
            accuracies and drawn with their intervals.
    """
    fig = CourseFigure(3.7, title)
    left, right = fig.subplots(1, 2)
    last = max(steps[-1] for steps, *_ in curves.values())
    for i, (name, (steps, losses, at, values)) in enumerate(curves.items()):
        colour, smooth = PALETTE[i % len(PALETTE)], _smoothed(losses)
        left.plot(steps, losses, color=colour, alpha=0.25, linewidth=0.8)
        left.plot(steps, smooth, color=colour, linewidth=2, label=name)
        left.plot(steps[-1], smooth[-1], "o", color=colour, markersize=5)
        right.plot(at, values, "-", color=colour, linewidth=1.5)
        # Side by side, so that the intervals of equally good curves don't hide each other.
        aside = np.asarray(at) + (i - (len(curves) - 1) / 2) * last / 150
        right.plot(aside, values, "o", color=colour, markersize=5)
        if validation_size:
            ends = [
                accuracy_interval((value * validation_size, validation_size)) for value in values
            ]
            right.vlines(aside, *interval_ends(ends), color=colour, linewidth=1.2)
    left.set(xlabel="training step", ylabel="training loss (nats per example)")
    left.set_ylim(bottom=0)
    right.set(xlabel="training step", ylabel=f"{metric} on validation")
    if validation_size:
        right.set_ylabel("accuracy on validation\n(share correct, 95 % interval)")
    for ax in (left, right):
        ax.set_xlim(0, last * 1.04)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not any(len(at) for _, _, at, _ in curves.values()):
        right.set_ylim(0, 1)
        right.text(0.5, 0.5, "not measured", transform=right.transAxes, ha="center", color=GREY)
    if len(curves) > 1:
        fig.legend(loc=BELOW, ncols=min(4, len(curves)))
    return fig


def _smoothed(losses: Sequence[float]) -> NDArray:
    """The mean over the last tenth of the run (of what there is of it, at the beginning)."""
    window = max(1, len(losses) // 10)
    total = np.cumsum([0.0, *losses])
    ends = np.arange(1, len(losses) + 1)
    starts = np.maximum(0, ends - window)
    return (total[ends] - total[starts]) / (ends - starts)


# ---------------------------------------------------------------- matrices

WHITE_TO_BLUE = LinearSegmentedColormap.from_list("white-blue", ["#FFFFFF", BLUE])

MOST_TICKS = 10
MISSING = "#DDDDDD"


@styled
def heatmaps(
    panels: Mapping[str, ArrayLike],
    title: str,
    *,
    xlabel: str,
    ylabel: str,
    value: str,
    marked: Mapping[str, Sequence[int]] | None = None,
    mark: str = "",
    one_scale: bool = True,
) -> CourseFigure:
    """Matrices side by side, row 0 on top; grey where a value is missing (NaN).

    Args:
        panels: name -> (R, C) values; a scale that has negative ones is white at zero.
        value: what a colour means, with its unit.
        marked: name -> one column per row, framed; mark: what a frame means.
        one_scale: the same colours in all panels. Without it each panel has the scale that its
            values use, from the lowest to the highest where none is negative.
    """
    matrices = {name: np.asarray(values, dtype=float) for name, values in panels.items()}
    fig = CourseFigure(3.9, title)
    axes = np.atleast_1d(fig.subplots(1, len(matrices)))
    common = _colours(np.concatenate([values.ravel() for values in matrices.values()]))
    for ax, (name, values) in zip(axes, matrices.items(), strict=True):
        colours = common if one_scale else _colours(values, fills=True)
        sns.heatmap(values, ax=ax, cbar=False, rasterized=True, **colours)
        ax.set(title=name, xlabel=xlabel, ylabel=ylabel if ax is axes[0] else "")
        ax.set_facecolor(MISSING)
        ax.tick_params(length=0)
        _sparse_ticks(ax, values.shape)
        for row, column in enumerate((marked or {}).get(name, ())):
            ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2))
        if not one_scale:
            fig.colorbar(ax.collections[0], ax=ax, label=value if ax is axes[-1] else "", pad=0.02)
    if one_scale:
        fig.colorbar(axes[-1].collections[0], ax=list(axes), label=value, pad=0.02)
    if marked:
        frame = Patch(fill=False, edgecolor=ORANGE, linewidth=2, label=mark)
        fig.legend(handles=[frame], loc=BELOW)
    return fig


def _colours(values: NDArray, fills: bool = False) -> dict[str, Any]:
    """A scale for these values: white at zero, or, if it fills, at the lowest of positive ones."""
    low, high = np.nanmin(values), np.nanmax(values)
    if low < 0:
        most = max(-low, high)
        return {"cmap": DIVERGING, "vmin": -most, "vmax": most}
    return {"cmap": WHITE_TO_BLUE, "vmin": low if fills else 0.0, "vmax": high}


def _sparse_ticks(ax: Axes, shape: tuple[int, ...]) -> None:
    for axis, count in ((ax.yaxis, shape[0]), (ax.xaxis, shape[1])):
        places = list(range(0, count, -(-count // MOST_TICKS)))
        axis.set_ticks([place + 0.5 for place in places], [str(place) for place in places])
    ax.tick_params(axis="both", rotation=0)


# ---------------------------------------------------------------- answers to a review

Results = Mapping[str, Mapping[str, float]]

PANELS_PER_ROW = 3

BESIDE_THE_BAR = {
    "xytext": (4, 0),
    "textcoords": "offset points",
    "va": "center_baseline",
    "size": 9,
}


@styled
def review_figure(results: Results, text: str | None = None) -> CourseFigure:
    """The probability of each label under each prompt, one panel per prompt.

    Args:
        results: prompt name -> label -> probability; the same labels for each prompt.
        text: the review, quoted in the title.
    """
    n_columns = min(len(results), PANELS_PER_ROW)
    n_rows = -(-len(results) // n_columns)
    n_labels = max(len(scores) for scores in results.values())
    fig = CourseFigure(0.5 + n_rows * (0.95 + 0.3 * n_labels), _verdict(results, text))
    panels = fig.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
    for ax, (prompt, scores) in zip(panels, results.items(), strict=False):
        answer = _answer(scores)
        for y, (label, probability) in enumerate(scores.items()):
            ax.barh(y, probability, color=BLUE if label == answer else GREY, height=0.6)
            ax.annotate(f"{probability:.2f}", (probability, y), **BESIDE_THE_BAR)
        ax.set_title(textwrap.fill(prompt, 72 // n_columns), loc="left")
        name_rows(ax, list(scores))
        ax.set(xlim=(0, 1.15), xlabel="probability")
        ax.set_xticks([0, 0.5, 1])
    for ax in panels[len(results) :]:
        ax.set_visible(False)
    return fig


def _answer(scores: Mapping[str, float]) -> str:
    return max(scores, key=scores.__getitem__)


def _verdict(results: Results, text: str | None) -> str:
    answers = {_answer(scores) for scores in results.values()}
    if len(answers) > 1:
        verdict = "The prompts disagree"
    elif len(results) > 1:
        verdict = f"All prompts answer {answers.pop()}"
    else:
        verdict = f"The answer is {answers.pop()}"
    return verdict if text is None else f"{verdict}: “{shortened(text, 110)}”"
