"""Figures of notebooks 05 and 06: places, choices and searches, as functions of plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    INK,
    ORANGE,
    PALETTE,
    VERMILLION,
    CourseFigure,
    styled,
)

WHITE_TO_BLUE = LinearSegmentedColormap.from_list("white-blue", ["#FFFFFF", BLUE])
MOST_TICKS = 10


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
) -> CourseFigure:
    """Matrices side by side on one scale of colour, row 0 on top.

    Args:
        panels: name -> (R, C) values; a scale that has negative ones is white at zero.
        value: what a colour means, with its unit.
        marked: name -> one column per row, framed; mark: what a frame means.
    """
    matrices = {name: np.asarray(values, dtype=float) for name, values in panels.items()}
    most = max(np.abs(values).max() for values in matrices.values())
    signed = min(values.min() for values in matrices.values()) < 0
    scale = {"cmap": DIVERGING if signed else WHITE_TO_BLUE, "vmin": -most if signed else 0.0}
    fig = CourseFigure(3.9, title)
    axes = np.atleast_1d(fig.subplots(1, len(matrices)))
    for ax, (name, values) in zip(axes, matrices.items(), strict=True):
        sns.heatmap(values, ax=ax, vmax=most, cbar=False, rasterized=True, **scale)
        ax.set(title=name, xlabel=xlabel, ylabel=ylabel if ax is axes[0] else "")
        ax.tick_params(length=0)
        _sparse_ticks(ax, values.shape)
        for row, column in enumerate((marked or {}).get(name, ())):
            ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2))
    fig.colorbar(axes[-1].collections[0], ax=list(axes), label=value, pad=0.02)
    if marked:
        frame = Patch(fill=False, edgecolor=ORANGE, linewidth=2, label=mark)
        fig.legend(handles=[frame], loc=BELOW)
    return fig


def _sparse_ticks(ax: Axes, shape: tuple[int, ...]) -> None:
    for axis, count in ((ax.yaxis, shape[0]), (ax.xaxis, shape[1])):
        places = list(range(0, count, -(-count // MOST_TICKS)))
        axis.set_ticks([place + 0.5 for place in places], [str(place) for place in places])
    ax.tick_params(axis="both", rotation=0)


@styled
def grouped_scores(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    *,
    xlabel: str,
    chance: float,
) -> CourseFigure:
    """Groups of bars: one group per outer name, one bar per inner name, one dot per seed.

    Args:
        scores: setting -> question -> values from 0 to 1, one per seed.
        chance: what a blind guess reaches.
    """
    settings, questions = list(scores), list(next(iter(scores.values())))
    fig = CourseFigure(1.5 + 0.62 * len(settings), title)
    ax = fig.subplots()
    height = 0.8 / len(questions)
    for q, question in enumerate(questions):
        for s, setting in enumerate(settings):
            values = list(scores[setting][question])
            y = s - 0.4 + (q + 0.5) * height
            label = question if s == 0 else None
            ax.barh(y, np.mean(values), height * 0.9, color=PALETTE[q], label=label)
            ax.plot(values, [y] * len(values), "o", color=INK, markersize=3.5)
    ax.axvline(chance, color=VERMILLION, linestyle="--", linewidth=1.3)
    ax.text(
        chance, 1.02, f"chance {chance:.2f}", transform=ax.get_xaxis_transform(), ha="center",
        color=VERMILLION, size=9,
    )  # fmt: skip
    ax.set(xlabel=f"{xlabel} (bar: mean, dots: seeds)", xlim=(0, 1.02))
    ax.set_yticks(range(len(settings)), settings)
    ax.set_ylim(len(settings) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    fig.legend(loc=BELOW, ncols=len(questions))
    return fig


@styled
def curves(
    lines: Mapping[str, Sequence[float]], title: str, *, xlabel: str, ylabel: str
) -> CourseFigure:
    """Values over steps, one line per name; the axis starts at 0, so heights can be compared."""
    fig = CourseFigure(3.5, title)
    ax = fig.subplots()
    for i, (name, values) in enumerate(lines.items()):
        ax.plot(range(1, len(values) + 1), values, color=PALETTE[i], linewidth=1.8, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, None))
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=min(4, len(lines)))
    return fig


@styled
def search_curves(
    histories: Mapping[str, Sequence[Sequence[tuple[int, float]]]],
    title: str,
    *,
    budget: int,
    ylabel: str,
    given: float | None = None,
    given_name: str = "the order given",
) -> CourseFigure:
    """The best loss so far against what was spent: one colour per method, one line per seed.

    Args:
        histories: method -> seed -> (forward passes spent, lowest loss so far).
        budget: where the lines end.
        given: the loss to start from.
    """
    fig = CourseFigure(4.2, title)
    ax = fig.subplots()
    for i, (method, runs) in enumerate(histories.items()):
        for number, run in enumerate(runs):
            spent, losses = (list(column) for column in zip(*run, strict=True))
            ax.step(
                [*spent, budget],
                [*losses, losses[-1]],
                where="post",
                color=PALETTE[i % len(PALETTE)],
                linewidth=1.6,
                alpha=0.9,
                label=method if number == 0 else None,
            )
    if given is not None:
        ax.axhline(given, color=GREY, linestyle="--", linewidth=1.2, label=given_name)
    ax.set(xlabel="forward passes spent (sentences through the model)", ylabel=ylabel)
    ax.set_xlim(0, budget)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=min(4, len(histories) + (given is not None)))
    return fig
