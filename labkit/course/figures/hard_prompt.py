"""Figures of notebook 01: templates against label words, and what calibration moves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from labkit.core.statistics import accuracy_interval
from labkit.course.figures.chinese import CODE_FONT
from labkit.course.figures.shared import interval_ends
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    INK,
    CourseFigure,
    styled,
)

DASHED = {"fill": False, "edgecolor": INK, "linestyle": (0, (3, 2)), "linewidth": 1}


@styled
def score_grid(
    values: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    majority: float,
    title: str,
) -> CourseFigure:
    """Accuracy of every template with every set of label words, as colours around the majority.

    Args:
        values, low, high: (R, C) accuracies and the ends of their intervals, shares from 0 to 1;
            NaN where a pair was not scored.
        rows: R templates. columns: C sets of label words.
        majority: the share of the largest class, which has the colour white.

    A dashed frame marks the cells whose interval contains the majority class.
    """
    values, low, high = (np.asarray(array, dtype=float) for array in (values, low, high))
    fig = CourseFigure(1.9 + 0.52 * len(rows), title)
    ax = fig.subplots()
    spread = np.nanmax(np.abs(values - majority))
    sns.heatmap(
        values,
        ax=ax,
        cmap=DIVERGING,
        vmin=majority - spread,
        vmax=majority + spread,
        annot=_value_and_half_width(values, (high - low) / 2),
        fmt="",
        annot_kws={"size": 9},
        linewidths=1.5,
        cbar_kws={"label": "accuracy (share correct)", "pad": 0.02},
        xticklabels=[textwrap.fill(column, 16) for column in columns],
    )
    ax.set_yticklabels([_template_lines(row) for row in rows], rotation=0, family=CODE_FONT)
    ax.tick_params(length=0)
    ax.set(xlabel="label words", ylabel="template")
    for r, c in zip(*np.nonzero((low <= majority) & (majority <= high)), strict=True):
        ax.add_patch(Rectangle((c + 0.06, r + 0.08), 0.88, 0.84, **DASHED))
    white = ax.collections[0].colorbar.ax
    white.axhline(majority, color=INK, linewidth=1)
    frame = Rectangle((0, 0), 1, 1, label=f"interval contains the majority class ({majority:.2f})")
    frame.set(**DASHED)
    fig.legend(handles=[frame], loc=BELOW)
    return fig


def _value_and_half_width(values: NDArray, half_widths: NDArray) -> NDArray:
    """What a cell says: 0.74 over ±0.05."""
    return np.array(
        [
            [f"{value:.2f}\n±{half:.2f}" for value, half in zip(*pair, strict=True)]
            for pair in zip(values, half_widths, strict=True)
        ]
    )


def _template_lines(template: str) -> str:
    """A template's own line breaks shown as ↵, and broken where they are."""
    lines = template.replace("\n", "↵\n").splitlines()
    return "\n".join(textwrap.fill(line, 32, break_on_hyphens=False) for line in lines)


@styled
def calibration_shift(
    before: ArrayLike, after: ArrayLike, labels: Sequence[str], title: str
) -> CourseFigure:
    """What calibration does: the shares predicted per class, and the margins behind them.

    Args:
        before, after: (N, C) label scores of the same N examples, in log-probabilities.
        labels: the C class names.

    The margin is the score of the last class minus that of the first where there are two, else
    the best score minus the second best.
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    fig = CourseFigure(3.6, title)
    left, right = fig.subplots(1, 2)
    margins = {"before": _margins(before), "after": _margins(after)}
    bins = np.histogram_bin_edges(np.concatenate(list(margins.values())), 30)
    for i, (name, scores) in enumerate({"before": before, "after": after}.items()):
        colour = (GREY, BLUE)[i]
        at = np.arange(len(labels)) + (i - 0.5) * 0.38
        counts = np.bincount(scores.argmax(axis=1), minlength=len(labels))
        left.bar(at, counts / len(scores), 0.36, color=colour, alpha=0.6, label=name)
        ends = [accuracy_interval((int(k), len(scores))) for k in counts]
        left.vlines(at, *interval_ends(ends), color=INK, linewidth=1.5)
        sns.histplot(x=margins[name], bins=bins, ax=right, color=colour, alpha=0.5, element="step")
    left.set_xticks(range(len(labels)), [textwrap.fill(label, 14) for label in labels])
    left.set(xlabel="predicted class", ylabel="share of the examples\n(95 % interval)", ylim=(0, 1))
    two = len(labels) == 2
    margin = f"{labels[1]} - {labels[0]}" if two else "best - second best"
    right.set(xlabel=f"margin: {margin} (nats)", ylabel=f"examples (of {len(before)})")
    if two:
        right.axvline(0, color=INK, linewidth=1, linestyle="--")
    fig.legend(*left.get_legend_handles_labels(), loc=BELOW, ncols=2)
    return fig


def _margins(scores: NDArray) -> NDArray:
    if scores.shape[1] == 2:
        return scores[:, 1] - scores[:, 0]
    second, best = np.sort(scores, axis=1)[:, -2:].T
    return best - second
