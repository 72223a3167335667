"""Figures about what order is worth, where in the model it matters, and how far it reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D

from labkit.core.statistics import mean_with_interval
from labkit.course.figures.shared import interval_mark, name_rows
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    VERMILLION,
    CourseFigure,
    styled,
)


@styled
def ways_to_train(rows: Sequence[Mapping[str, object]], title: str) -> CourseFigure:
    """Prompts trained with and without an order: their score in their own and in random orders.

    Args:
        rows: of `labkit run order-worth`: ``setting``, ``value``, ``in_random_orders``; a dot each,
            and where a way to train has two or more, their mean with Student's 95 % interval.
    """
    ways = list(dict.fromkeys(str(row["setting"]) for row in rows))
    fig = CourseFigure(1.8 + 0.5 * len(ways), title)
    ax = fig.subplots()
    kinds = (("value", VERMILLION, -0.16), ("in_random_orders", BLUE, 0.16))
    for y, way in enumerate(ways):
        of_way = [row for row in rows if row["setting"] == way]
        for key, colour, shift in kinds:
            values = np.array([row[key] for row in of_way], dtype=float)
            ax.plot(values, [y + shift] * len(values), "o", color=colour, alpha=0.4, markersize=4)
            if len(values) > 1:
                interval_mark(ax, y + shift, mean_with_interval(values), colour)
    name_rows(ax, ways)
    ax.set(xlabel="accuracy on test", ylabel="")
    ax.grid(axis="x", alpha=0.5)
    handles = [
        Line2D([], [], color=VERMILLION, marker="o", label="its own order, mean and 95 % interval"),
        Line2D([], [], color=BLUE, marker="o", label="random orders"),
        Line2D([], [], color=GREY, marker="o", ls="", ms=4, label="one prompt"),
    ]
    fig.legend(handles=handles, loc=BELOW, ncols=3)
    return fig


@styled
def restored_map(pooled: Sequence[Mapping[str, object]], title: str) -> CourseFigure:
    """The share of a shuffled order's cost that each place restores: in all layers, and in a few.

    Args:
        pooled: lines of `labkit run first-place`: ``layers`` (first, one behind the last),
            ``place`` counted from 0 or None for every place, ``restored`` (value, low, high).
    """
    single = [line for line in pooled if str(line["what"]).startswith("place")]
    depth = max(line["layers"][1] for line in single)
    whole = [line for line in single if list(line["layers"]) == [0, depth]]
    parts = [line for line in single if list(line["layers"]) != [0, depth]]
    groups = sorted({tuple(line["layers"]) for line in parts})
    fig = CourseFigure(5.4, title)
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[1, 1.2])
    above.axhline(0, color=GREY, linewidth=1, zorder=0)
    for line in whole:
        value, low, high = line["restored"]
        x = line["place"] + 0.5
        above.plot([x, x], [low, high], color=BLUE, linewidth=2, solid_capstyle="butt")
        above.plot(x, value, "o", color=BLUE, markersize=6)
    above.set(ylabel="share restored,\nall layers, 95 % interval")
    above.grid(axis="y", alpha=0.5)
    shares = np.full((len(groups), len(whole)), np.nan)
    for line in parts:
        shares[groups.index(tuple(line["layers"])), line["place"]] = line["restored"][0]
    spread = np.nanmax(np.abs(shares))
    sns.heatmap(
        shares,
        ax=below,
        cmap=DIVERGING,
        vmin=-spread,
        vmax=spread,
        xticklabels=[str(place + 1) for place in range(len(whole))],
        yticklabels=[f"{first}–{last - 1}" for first, last in groups],
        cbar_kws={"label": "share restored", "location": "bottom", "pad": 0.3, "shrink": 0.5},
    )
    below.tick_params(length=0, rotation=0)
    below.set(xlabel="place whose keys and values are the trained order's", ylabel="layers")
    return fig


@styled
def dose_response(pooled: Sequence[Mapping[str, object]], title: str) -> CourseFigure:
    """What an order costs against how far it lies from the trained one.

    Args:
        pooled: lines of `labkit run order-dose` that have a ``distance`` (share of the pairs that
            stand the other way round): ``mean`` cost in nats and ``flip_rate``, each with the ends
            of its interval over prompts.
    """
    doses = [line for line in pooled if "distance" in line]
    distances = [100 * line["distance"] for line in doses]
    fig = CourseFigure(3.8, title)
    left, right = fig.subplots(1, 2, sharex=True)
    panels = (
        (left, "mean", "cost, nats a sentence"),
        (right, "flip_rate", "predictions flipped"),
    )
    for ax, key, label in panels:
        values, lows, highs = np.array([line[key] for line in doses]).T
        ax.fill_between(distances, lows, highs, color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(distances, values, "o-", color=BLUE)
        ax.axhline(0, color=GREY, linewidth=1, zorder=0)
        ax.set(xlabel="pairs the other way round, %", ylabel=label)
        ax.grid(alpha=0.5)
    handles = [Line2D([], [], color=BLUE, marker="o", label="mean over prompts, 95 % interval")]
    fig.legend(handles=handles, loc=BELOW)
    return fig
