"""Figures of notebook 08: the table of transfer, likeness, lines between prompts, starts, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from labkit.core.errors import LabError
from labkit.core.statistics import mean_with_interval
from labkit.course.figures.shared import level, name_rows
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    INK,
    ORANGE,
    PALETTE,
    SKY,
    VERMILLION,
    CourseFigure,
    styled,
)
from labkit.prompt_transfer import TransferTable, kind_of

MAJORITY = "majority class"
FULL_COLOUR = 0.95
"""Share of the gains below the one that has the full colour."""


@styled
def transfer_map(table: TransferTable, control: str, title: str) -> CourseFigure:
    """Sources down, targets across: accuracy as a number, its gain over a control as a colour.

    Above the sources stands what each control reaches, the one that colours are measured from
    first. Tasks of one kind stand together. A source's own task is framed; seen pairs are hatched,
    because they prove little.

    Colours reach their full depth at the largest gain but one in twenty of the fair pairs, so that
    neither a task's own prompt nor one that only found its majority class pales all others.

    Args:
        control: name of the control that colours are measured from, in ``table.controls`` or
            :data:`MAJORITY`.

    Raises:
        LabError: for a control that the table has not.
    """
    rows, columns = _by_kind(table.sources), _by_kind(table.targets)
    mean, base = table.values.mean(0), level_of(table, control)
    controls = [control, *(name for name in controls_of(table) if name != control)]
    levels = np.array([level_of(table, name) for name in controls])  # (controls, T)
    shown = np.vstack([levels[:, columns], mean[np.ix_(rows, columns)]])
    colours = 100 * (shown - base[columns])
    fig = CourseFigure(1.9 + 0.36 * max(len(shown), 8), title)
    ax = fig.subplots()
    most = np.quantile(100 * np.abs(mean - base)[table.fair], FULL_COLOUR)
    sns.heatmap(
        colours, ax=ax, cmap=DIVERGING, vmin=-most, vmax=most, annot=100 * shown, fmt=".0f",
        annot_kws={"size": 9}, linewidths=0.6, cbar_kws={"pad": 0.015, "extend": "both"},
        xticklabels=[table.targets[i] for i in columns],
        yticklabels=[*controls, *(table.sources[i] for i in rows)],
    )  # fmt: skip
    ax.collections[0].colorbar.set_label(f"points above the {control}")
    for y, row in enumerate(rows, start=len(controls)):
        for x, column in enumerate(columns):
            if table.same_task[row, column]:
                ax.add_patch(
                    Rectangle((x + 0.03, y + 0.04), 0.94, 0.92, fill=False, ec=INK, linewidth=2)
                )
            elif table.seen[row, column]:
                ax.add_patch(
                    Rectangle(
                        (x, y), 1, 1, fill=False, hatch="///", ec=GREY, linewidth=0, alpha=0.55
                    )
                )
    for line in _borders([table.targets[i] for i in columns]):
        ax.axvline(line, color=INK, linewidth=1.4)
    kinds = _borders([table.sources[i] for i in rows])
    for line in [len(controls) + border for border in (0, *kinds)]:
        ax.axhline(line, color=INK, linewidth=1.4)
    ax.set(xlabel="target: tested on (accuracy, %)", ylabel="source: trained on")
    ax.tick_params(length=0)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right")
    ax.set_yticks(ax.get_yticks(), ax.get_yticklabels(), rotation=0)
    marks = [
        Patch(fill=False, edgecolor=INK, linewidth=2, label="the source's own task"),
        Patch(fill=False, edgecolor=GREY, hatch="///", linewidth=0, label="seen pair"),
    ]
    fig.legend(handles=marks, loc=BELOW, ncols=2)
    return fig


def controls_of(table: TransferTable) -> list[str]:
    """The names that `transfer_map` takes for its control."""
    return [*table.controls, MAJORITY]


def level_of(table: TransferTable, control: str) -> np.ndarray:
    """(T,) what a control reaches on each target."""
    if control == MAJORITY:
        return np.asarray(table.majority)
    if control not in table.controls:
        names = ", ".join(controls_of(table))
        raise LabError(f"the table has no control {control!r}; choose one of {names}")
    return table.controls[control].mean(0)


def _by_kind(names: Sequence[str]) -> list[int]:
    kinds = list(dict.fromkeys(kind_of(name) for name in names))
    return sorted(range(len(names)), key=lambda i: kinds.index(kind_of(names[i])))


def _borders(names: Sequence[str]) -> list[int]:
    """Where one kind ends and the next begins."""
    return [i for i in range(1, len(names)) if kind_of(names[i - 1]) != kind_of(names[i])]


@styled
def likeness_dots(
    table: TransferTable, panels: Mapping[str, ArrayLike], control: str, title: str
) -> CourseFigure:
    """Each dot a fair pair of tasks: how alike the prompts are, and what the source brought.

    Args:
        panels: what stands above a panel → similarities (S, T).
    """
    gain = 100 * (table.values.mean(0) - table.controls[control].mean(0))
    fig = CourseFigure(3.7, title)
    axes = np.atleast_1d(fig.subplots(1, len(panels), sharey=True))
    groups = {"same kind": (table.same_kind, BLUE), "other kind": (~table.same_kind, ORANGE)}
    for ax, (name, alike) in zip(axes, panels.items(), strict=True):
        for label, (group, colour) in groups.items():
            pairs = table.fair & group
            ax.plot(np.asarray(alike)[pairs], gain[pairs], "o", color=colour, ms=5, alpha=0.75,
                    mec="white", mew=0.4, label=label if ax is axes[0] else None)  # fmt: skip
        ax.axhline(0, color=GREY, linewidth=1, linestyle="--")
        ax.set(title=name, xlabel="similarity of the two prompts")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(f"points above the {control}")
    fig.legend(loc=BELOW, ncols=2)
    return fig


@styled
def lines_between(
    lines: Mapping[str, ArrayLike], points: Sequence[float], title: str
) -> CourseFigure:
    """The loss on the way from one prompt to another, and how far it lies above its two ends.

    Args:
        lines: name → mean losses (R, K) in nats: R pairs of prompts, two or more; K
            points, the ends included.
        points: K shares of the second prompt, from 0 to 1.
    """
    fig = CourseFigure(3.9, title)
    left, right = fig.subplots(1, 2, sharex=True)
    apart = np.linspace(-0.015, 0.015, len(lines))  # so that bars at one point don't hide another
    for (name, losses), colour, shift in zip(lines.items(), PALETTE, apart, strict=False):
        by_pair = np.asarray(losses, dtype=float)  # (R, K)
        ends = np.outer(by_pair[:, 0], np.subtract(1, points)) + np.outer(by_pair[:, -1], points)
        left.plot(points, by_pair.mean(0), "o-", color=colour, ms=5, label=name)
        means, lows, highs = np.array([mean_with_interval(at) for at in (by_pair - ends).T]).T
        right.plot(np.add(points, shift), means, "o-", color=colour, ms=5)
        right.vlines(np.add(points, shift), lows, highs, color=colour, linewidth=2)
    right.axhline(0, color=GREY, linewidth=1, zorder=0)
    left.set(ylabel="loss, nats (mean over pairs)")
    right.set(ylabel="loss above the line of its ends,\nnats (bars: 95 % interval)")
    for ax in (left, right):
        ax.set(xlabel="share of the second prompt", xticks=points)
        ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=2)
    return fig


@styled
def start_curves(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    title: str,
    *,
    goal: float,
    goal_name: str,
    ylabel: str,
) -> CourseFigure:
    """Scores while learning, one line per start, and the score that all of them are after."""
    fig = CourseFigure(4.4, title)
    ax = fig.subplots()
    for i, (name, curve) in enumerate(curves.items()):
        steps, values = zip(*curve, strict=True)
        ax.plot(steps, values, "o-", color=PALETTE[i % len(PALETTE)], ms=4, lw=1.8, label=name)
    level(ax, goal, goal_name, INK)
    ax.set(xlabel="steps of training on the target", ylabel=ylabel)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=2)
    return fig


@styled
def outcomes_of_starts(outcomes: Mapping[str, Mapping[str, int]], title: str) -> CourseFigure:
    """How many runs of each start end which way, stacked; a line stands at half of the runs.

    Args:
        outcomes: start → outcome → runs; every start has the same outcomes, the best one first.
    """
    runs = [sum(counts.values()) for counts in outcomes.values()]
    fig = CourseFigure(1.5 + 0.42 * len(outcomes), title)
    ax = fig.subplots()
    left = np.zeros(len(outcomes))
    names = list(next(iter(outcomes.values())))
    for name, colour in zip(names, (BLUE, SKY, ORANGE, VERMILLION), strict=True):
        counts = np.array([of_start[name] for of_start in outcomes.values()])
        bars = ax.barh(list(outcomes), counts, 0.66, left, color=colour, ec="white", label=name)
        on_dark = "white" if colour in (BLUE, VERMILLION) else INK
        ax.bar_label(bars, [str(n or "") for n in counts], label_type="center", color=on_dark)
        left += counts
    half = {"color": INK, "linestyle": "--", "linewidth": 1.2, "label": "half of the runs"}
    ax.axvline(max(runs) / 2, zorder=0, **half)  # behind the bars and their numbers
    ax.invert_yaxis()
    ax.set(xlim=(0, max(runs)), xlabel="runs: targets × seeds")
    ax.tick_params(axis="y", length=0)
    fig.legend(loc=BELOW, ncols=len(names) + 1)
    return fig


@styled
def read_through_maps(
    scores: Mapping[tuple[str, str], Mapping[str, float]],
    title: str,
    *,
    level: Mapping[str, float],
    level_name: str,
) -> CourseFigure:
    """A panel for each map, a row for each target: the accuracy that every input comes to.

    Args:
        scores: (trained on, target) → input → accuracy; the same three inputs everywhere.
        level: target → what stands as a tick in its row, such as a prompt that needs no map.
    """
    maps, targets = (list(dict.fromkeys(names)) for names in zip(*scores, strict=True))
    looks = (
        {"marker": "o", "color": BLUE, "ms": 6, "zorder": 3},
        {"marker": "o", "color": ORANGE, "ms": 11, "mfc": "none", "mew": 2},
        {"marker": "x", "color": GREY, "ms": 7, "mew": 2},
    )
    fig = CourseFigure(1.7 + 0.34 * len(targets), title)
    axes = np.atleast_1d(fig.subplots(1, len(maps), sharex=True, sharey=True))
    for ax, trained_on in zip(axes, maps, strict=True):
        for y, target in enumerate(targets):
            ax.plot(level[target], y, "|", color=INK, ms=14, mew=2, label=level_name)
            for (name, value), look in zip(scores[trained_on, target].items(), looks, strict=True):
                ax.plot(value, y, linewidth=0, label=name, **look)
        ax.set(title=f"map trained on {trained_on}", xlabel="accuracy")
        ax.grid(alpha=0.3)
        ax.tick_params(axis="y", length=0)
    name_rows(axes[0], targets)
    handles, labels = axes[0].get_legend_handles_labels()
    count = len(labels) // len(targets)  # of the names in one row
    fig.legend(handles[:count], labels[:count], loc=BELOW, ncols=count)
    return fig
