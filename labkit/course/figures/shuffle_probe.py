"""Figures of notebook 04: scores of other orders, exchanges of two virtual tokens, one order."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from labkit.course.figures.drawings import (
    HEADING,
    MARGIN,
    PALE,
    PIXELS,
    SANS,
    Drawing,
    box,
    drawing,
    text,
)
from labkit.course.figures.shared import name_rows, over_prompts_mark, value_beside
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREY,
    INK,
    PALETTE,
    PURPLE,
    VERMILLION,
    CourseFigure,
    styled,
)
from labkit.shuffle_probe import Probe

OrderScores = tuple[ArrayLike, float, tuple[float, float], float | None]
"""Scores of the other orders (R,), the trained one's score, its interval, the majority class."""


@styled
def order_histograms(groups: Mapping[str, OrderScores], title: str) -> CourseFigure:
    """How the same prompt scores in other orders of its virtual tokens: one panel per prompt.

    Args:
        groups: name -> (R,) scores of the other orders; score of the trained order, its interval;
            share of the largest class, None for a regression.
    """
    fig = CourseFigure(1.5 + 1.2 * len(groups), title)
    panels = np.atleast_1d(fig.subplots(len(groups), 1, sharex=True))
    every = np.concatenate([np.append(np.asarray(s), base) for s, base, *_ in groups.values()])
    step = max(0.005, float(np.ptp(every)) / 60)
    bins = np.arange(every.min() - step, every.max() + 2 * step, step)
    for ax, (name, (values, trained, (low, high), majority)) in zip(
        panels, groups.items(), strict=True
    ):
        ax.hist(values, bins=bins, color=BLUE, alpha=0.75, label="other orders")
        ax.axvspan(low, high, color=VERMILLION, alpha=0.15, linewidth=0, label="its 95 % interval")
        ax.axvline(trained, color=VERMILLION, linewidth=2, label="the trained order")
        if majority is not None:
            ax.axvline(majority, color=GREY, linestyle="--", linewidth=1.3, label="majority class")
        ax.set_ylabel("orders")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        label = textwrap.fill(f"{name} ({len(np.asarray(values))} orders)", 24)
        ax.text(1.01, 0.5, label, transform=ax.transAxes, va="center", size=9)
    panels[-1].set_xlabel("accuracy on test (share correct)")
    handles = {h.get_label(): h for ax in panels for h in _labelled(ax)}
    fig.legend(handles=list(handles.values()), loc=BELOW, ncols=4)
    return fig


def _labelled(ax: Axes) -> list:
    return ax.get_legend_handles_labels()[0]


@styled
def order_ranges(
    rows: Sequence[Mapping[str, object]],
    title: str,
    *,
    xlabel: str = "accuracy on test (share correct)",
    paper: Mapping[str, tuple[float, float]] | None = None,
) -> CourseFigure:
    """Worst, mean and best of the other orders beside the trained one, one line per row.

    Args:
        rows: rows of a table of orders: ``setting``, ``baseline``, ``ci95``, ``scores`` and
            ``worse``, ``better``, ``equal``.
        paper: setting -> the paper's worst and best, of another model and task.
    """
    fig = CourseFigure(1.7 + 0.42 * len(rows), title)
    ax = fig.subplots()
    for y, row in enumerate(rows):
        scores = np.asarray(row["scores"], dtype=float)
        ax.plot([scores.min(), scores.max()], [y, y], color=BLUE, linewidth=5, alpha=0.35)
        ax.plot(scores.mean(), y, "|", color=BLUE, markersize=13, markeredgewidth=2)
        ax.plot(row["ci95"], [y + 0.22, y + 0.22], color=VERMILLION, linewidth=1.5)
        ax.plot(row["baseline"], y + 0.22, "o", color=VERMILLION, markersize=6)
        if paper and row["setting"] in paper:
            ax.plot(paper[row["setting"]], [y - 0.22] * 2, "D:", color=PURPLE, mfc="white", ms=5)
        counts = f"{row['worse']} / {row['better']} / {row['equal']}"
        value_beside(ax, y, counts)
    ax.text(1.01, -0.75, "worse / better / equal", transform=ax.get_yaxis_transform(), size=8)
    name_rows(ax, [textwrap.fill(str(row["setting"]), 34) for row in rows])
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    ax.grid(axis="x", alpha=0.5)
    handles = [
        Line2D([], [], color=VERMILLION, marker="o", label="trained order, 95 % interval"),
        Line2D([], [], color=BLUE, linewidth=5, alpha=0.35, label="other orders, worst to best"),
        Line2D([], [], color=BLUE, marker="|", ls="", ms=11, mew=2, label="their mean"),
    ]
    if paper:
        source = "the paper's worst and best (other model, SST-2)"
        handles.append(Line2D([], [], color=PURPLE, marker="D", ls=":", mfc="white", label=source))
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


@styled
def effects_over_prompts(pooled: Sequence[Mapping[str, object]], title: str) -> CourseFigure:
    """What reordering does on average over several prompts: a panel per model, a row per kind.

    Up to three panels stand beside each other, more in rows of two.

    Args:
        pooled: lines of `labkit run order-effect`: ``setting``, ``kind``, ``prompts``,
            ``mean_difference`` with its interval, ``by_prompt``; every model has the same kinds.
    """
    models = list(dict.fromkeys(str(line["setting"]) for line in pooled))
    kinds = list(dict.fromkeys(str(line["kind"]) for line in pooled))
    across = len(models) if len(models) <= 3 else 2
    down = math.ceil(len(models) / across)
    fig = CourseFigure(1.8 + down * 0.36 * len(kinds), title)
    panels = fig.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for ax in panels.flat[len(models) :]:
        ax.set_axis_off()
    for ax, model in zip(panels.flat, models, strict=False):
        lines = [line for line in pooled if line["setting"] == model]
        ax.axvline(0, color=GREY, linewidth=1, zorder=0)
        for line in lines:
            over_prompts_mark(ax, kinds.index(str(line["kind"])), line)
        ax.set_title(f"{model}, {lines[0]['prompts']} prompts", loc="left")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", alpha=0.5)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
    for ax in panels[-1]:
        ax.set_xlabel("change of accuracy\nagainst the trained order")
    for ax in panels[:, 0]:
        name_rows(ax, kinds)
    handles = [
        Line2D([], [], color=BLUE, marker="o", label="mean over prompts, 95 % interval"),
        Line2D([], [], color=GREY, marker="o", ls="", ms=4, label="one prompt"),
    ]
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


@styled
def swap_map(changes: ArrayLike, title: str) -> CourseFigure:
    """What exchanging two virtual tokens does, for every pair.

    Args:
        changes: (P, P) change of the score when i and j change places; only i < j is read.
    """
    changes = np.asarray(changes, dtype=float)
    fig = CourseFigure(5.2, title)
    ax = fig.subplots()
    spread = np.abs(changes[np.triu_indices(len(changes), 1)]).max()
    sns.heatmap(
        changes.T,
        ax=ax,
        mask=np.triu(np.ones_like(changes, dtype=bool)),
        cmap=DIVERGING,
        vmin=-spread,
        vmax=spread,
        square=True,
        linewidths=0.5,
        cbar_kws={"label": "change of the accuracy", "pad": 0.02},
    )
    ax.tick_params(length=0, rotation=0)
    ax.set(xlabel="one virtual token", ylabel="changes places with another")
    return fig


@styled
def winners_curse(
    counts: Sequence[int],
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    title: str,
) -> CourseFigure:
    """What the best of N orders gains where it was chosen, and on examples held out.

    Args:
        counts: numbers of orders N that the best is chosen from.
        curves: name -> (gain where chosen, gain held out), each one value per count.
    """
    fig = CourseFigure(3.9, title)
    ax = fig.subplots()
    for colour, (name, (chosen, held_out)) in zip(PALETTE, curves.items(), strict=False):
        ax.plot(
            counts, chosen, "o-", color=colour, label=f"{name}: on the examples it was chosen on"
        )
        ax.plot(counts, held_out, "s--", color=colour, mfc="white", label=f"{name}: held out")
    ax.axhline(0, color=INK, linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="orders that the best was chosen from", ylabel="gain over the trained order")
    fig.legend(loc=BELOW, ncols=2)
    return fig


STRIP, CAPTION = 34, 34  # heights: the strip of places, the line below it

BINS, TALLEST = 30, 130  # of the histogram

ROOM = 40  # above the histogram, for the names of its lines, one above the other

AXIS = 44  # below it


NUMBERED = 30
"""Longest prompt whose places carry their numbers."""


def order_map(probe: Probe, index: int) -> Drawing:
    """Order ``index`` as a strip of places, above where its score stands among all."""
    score, trained = float(probe.scores[index]), probe.baseline
    flips = int((probe.predictions[index] != probe.trained).sum())
    title = (
        f"Order {index}: {score:.3f} against {trained:.3f}; {flips} of {len(probe.trained)} flip"
    )
    top = HEADING + STRIP + CAPTION + ROOM
    body = [*_strip(probe.orders[index]), *_histogram(probe, score, top)]
    alt = (
        f"Order {' '.join(map(str, probe.orders[index]))}. Histogram of the {probe.metric} of "
        f"{len(probe.orders)} orders, from {probe.scores.min():.3f} to {probe.scores.max():.3f}."
    )
    return drawing(top + TALLEST + AXIS, title, body, alt)


def _strip(order: np.ndarray) -> Iterator[str]:
    """A field per place, coloured by where its virtual token was trained."""
    width = (PIXELS - 2 * MARGIN) / len(order)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, len(order)))  # (P, 4)
    for place, token in enumerate(order):
        x = MARGIN + place * width
        yield box(x, HEADING, width, STRIP, to_hex(colours[token]), outlined=False)
        if len(order) <= NUMBERED:
            ink = "white" if token < len(order) / 2 else INK
            style = f'text-anchor="middle" font-size="13" fill="{ink}" {SANS}'
            yield text(x + width / 2, HEADING + 22, str(token), style)
    caption = "place in the prompt (colour and number: place in the trained order)"
    middle = f'text-anchor="middle" font-size="12" {SANS}'
    yield text(PIXELS / 2, HEADING + STRIP + 18, caption, middle)


def _histogram(probe: Probe, score: float, top: float) -> Iterator[str]:
    """The scores of all orders, and lines at the trained order's and at ``score``."""
    counts, edges = np.histogram(probe.scores, bins=BINS)
    low, high = min(edges[0], probe.baseline), max(edges[-1], probe.baseline)
    margin = 0.03 * (high - low) or 0.01
    low, high = low - margin, high + margin

    def across(value: float) -> float:
        return MARGIN + (PIXELS - 2 * MARGIN) * (value - low) / (high - low)

    base = top + TALLEST
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        height = TALLEST * count / counts.max()
        x = across(left)
        yield box(x, base - height, across(right) - x, height, PALE, outlined=False)
    yield f'<path d="M {MARGIN} {base:.1f} H {PIXELS - MARGIN}" stroke="{INK}"/>'
    small = f'text-anchor="middle" font-size="12" {SANS}'
    for tick in MaxNLocator(6).tick_values(low, high):
        if low <= tick <= high:
            yield text(across(tick), base + 16, f"{tick:.2f}", small)
    yield text(PIXELS / 2, base + 36, f"{probe.metric} on test; height: number of orders", small)
    yield from _line(across(probe.baseline), top - 18, base, "trained order", VERMILLION)
    yield from _line(across(score), top, base, "this order", BLUE)


def _line(x: float, top: float, base: float, name: str, colour: str) -> Iterator[str]:
    """A line from top to base, its name above it."""
    yield f'<path d="M {x:.1f} {top:.1f} V {base:.1f}" stroke="{colour}" stroke-width="2.5"/>'
    anchor = "start" if x < 0.15 * PIXELS else "end" if x > 0.85 * PIXELS else "middle"
    style = f'text-anchor="{anchor}" font-size="12" font-weight="bold" fill="{colour}" {SANS}'
    yield text(x, top - 5, name, style)
