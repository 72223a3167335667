"""The figures of the course, as pure functions of plain data.

Every function takes numbers and names, touches no global state and returns a figure. The title of
a figure is its finding; what is uncertain carries its 95 % interval.

    plots.interval_bars(["hard", "soft"], [0.74, 0.85], [0.69, 0.83], [0.79, 0.87], reference=0.5,
                        reference_name="majority class", title="...", xlabel="accuracy on test")
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from labkit.core.statistics import accuracy_interval, mean_interval
from labkit.course.figures.data_flow import data_flow
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    DIVERGING,
    GREEN,
    GREY,
    INK,
    PALETTE,
    PURPLE,
    VERMILLION,
    CourseFigure,
    styled,
    use_style,
)

__all__ = [
    "calibration_shift",
    "data_flow",
    "interval_bars",
    "length_curve",
    "loss_curves",
    "order_histograms",
    "order_ranges",
    "result_figure",
    "score_grid",
    "similarity_histogram",
    "swap_map",
    "use_style",
    "winners_curse",
]

CODE_FONT = "DejaVu Sans Mono"
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
) -> CourseFigure:
    """Values with their intervals, one row per name in the order given, first on top.

    Args:
        lows, highs: the ends of the intervals, in the unit of the values.
        reference: drawn as a line through all rows, such as the majority class or 0.
        xlabel: what the values are, with their unit.
    """
    fig = CourseFigure(1.4 + 0.34 * len(names), title)
    ax = fig.subplots()
    for y, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
        ax.plot([low, high], [y, y], color=BLUE, linewidth=2, solid_capstyle="butt")
        ax.plot(value, y, "o", color=BLUE, markersize=7)
        ax.text(
            1.01,
            y,
            f"{value:z.3f}",
            transform=ax.get_yaxis_transform(),
            va="center_baseline",
            size=9,
        )
    ax.set(xlabel=f"{xlabel}, 95 % interval", ylabel="", ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(range(len(names)), [textwrap.fill(name, 38) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.5)
    if reference is not None:
        _vertical_reference(ax, reference, reference_name)
    return fig


def _vertical_reference(ax: Axes, x: float, name: str | None) -> None:
    ax.axvline(x, color=VERMILLION, linestyle="--", linewidth=1.3, zorder=1)
    label = f"{name} {x:.2f}" if name else f"{x:.2f}"
    at_top = ax.get_xaxis_transform()
    ax.text(x, 1.02, label, transform=at_top, ha="center", color=VERMILLION, size=9)


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
        # Side by side, so that the intervals of equally good curves don't hide each other.
        aside = np.asarray(at) + (i - (len(curves) - 1) / 2) * last / 150
        right.plot(aside, values, "o-", color=colour, markersize=5, linewidth=1.5)
        if validation_size:
            ends = [
                accuracy_interval((value * validation_size, validation_size)) for value in values
            ]
            right.vlines(aside, *_columns(ends), color=colour, linewidth=1.2)
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


def _columns(intervals: Sequence[tuple[float, float]]) -> NDArray:
    """The low and the high ends of M intervals, (2, M)."""
    return np.array(intervals, dtype=float).reshape(-1, 2).T


def _smoothed(losses: Sequence[float]) -> NDArray:
    """The mean over the last tenth of the run (of what there is of it, at the beginning)."""
    window = max(1, len(losses) // 10)
    total = np.cumsum([0.0, *losses])
    ends = np.arange(1, len(losses) + 1)
    starts = np.maximum(0, ends - window)
    return (total[ends] - total[starts]) / (ends - starts)


@styled
def length_curve(
    x: Sequence[float],
    values_by_seed: ArrayLike,
    x_label: str,
    title: str,
    majority: float,
    hard: float | None = None,
    live: tuple[float, float] | None = None,
    paper: tuple[Sequence[float], Sequence[float]] | None = None,
) -> CourseFigure:
    """Accuracy against prompt length or learning rate, on a logarithmic axis.

    Args:
        x: (L,) lengths or rates, increasing. x_label: what they are.
        values_by_seed: (S, L) accuracies, NaN where a seed was not run. Each is a dot; the line is
            their mean and the band its Student t interval, where there are two seeds or more.
        majority: the share of the largest class. hard: a hard prompt's accuracy.
        live: (x, accuracy) of what the reader has just run.
        paper: published (x, accuracies) to stand beside, of another model.
    """
    by_seed = np.atleast_2d(np.asarray(values_by_seed, dtype=float))  # (S, L)
    fig = CourseFigure(4.2, title)
    ax = fig.subplots()
    for values in by_seed:
        ax.plot(x, values, "o", color=BLUE, markersize=6, markeredgecolor="white", zorder=3)
    columns = [column[np.isfinite(column)] for column in by_seed.T]
    ax.plot(x, [column.mean() for column in columns], color=BLUE, linewidth=2)
    ends = [mean_interval(c) if len(c) > 1 else (np.nan, np.nan) for c in columns]
    ax.fill_between(x, *_columns(ends), color=BLUE, alpha=0.15, linewidth=0)
    handles = [
        Line2D([], [], color=BLUE, marker="o", label="soft prompt: each seed, mean"),
        Patch(facecolor=BLUE, alpha=0.15, label="95 % interval of the mean over seeds"),
    ]
    if hard is not None:
        handles.append(_level(ax, hard, f"hard prompt {hard:.2f}", VERMILLION, "-."))
    handles.append(_level(ax, majority, f"majority class {majority:.2f}", GREY, "--"))
    if live is not None:
        handles += ax.plot(*live, "*", color=GREEN, markersize=13, zorder=4, label="run live")
    if paper is not None:
        handles += ax.plot(
            *paper, "D:", color=PURPLE, mfc="white", label="published, another model"
        )
    ax.set_xscale("log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=x_label, ylabel="accuracy on test (share correct)")
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


def _level(ax: Axes, y: float, label: str, colour: str, style: str) -> Line2D:
    return ax.axhline(y, color=colour, linestyle=style, linewidth=1.3, label=label, zorder=1)


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
        left.vlines(at, *_columns(ends), color=INK, linewidth=1.5)
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


OrderScores = tuple[ArrayLike, float, tuple[float, float], float | None]
"""Scores of the other orders (R,), the trained one's score, its interval, the majority class."""


@styled
def order_histograms(
    groups: Mapping[str, OrderScores], title: str, xlabel: str = "accuracy on test (share correct)"
) -> CourseFigure:
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
    panels[-1].set_xlabel(xlabel)
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
        ax.text(1.01, y, counts, transform=ax.get_yaxis_transform(), va="center", size=9)
    ax.text(1.01, -0.75, "worse / better / equal", transform=ax.get_yaxis_transform(), size=8)
    ax.set_yticks(range(len(rows)), [textwrap.fill(str(row["setting"]), 34) for row in rows])
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.5)
    handles = [
        Line2D([], [], color=VERMILLION, marker="o", label="trained order, 95 % interval"),
        Line2D([], [], color=BLUE, linewidth=5, alpha=0.35, label="other orders, worst to best"),
        Line2D([], [], color=BLUE, marker="|", ls="", ms=11, mew=2, label="their mean"),
    ]
    if paper:
        made_by = "the paper's worst and best (other model, SST-2)"
        handles.append(Line2D([], [], color=PURPLE, marker="D", ls=":", mfc="white", label=made_by))
    fig.legend(handles=handles, loc=BELOW, ncols=2)
    return fig


def result_figure(result: Mapping) -> CourseFigure | None:
    """The figure of a named experiment's result file; None where no row can be drawn.

    Args:
        result: what `labkit.experiments.run` returns.
    """
    about = f"{result['name']} ({result['task']})"
    probed = [row for row in result["rows"] if row.get("scores")]
    if probed:
        return order_ranges([{**row, "setting": _with_seed(row)} for row in probed], about)
    drawn = [row for row in result["summary"] if row["ci95"]]
    if not drawn:
        return None
    return interval_bars(
        [row["setting"] for row in drawn],
        [row["mean"] for row in drawn],
        *zip(*(row["ci95"] for row in drawn), strict=True),
        title=about,
        xlabel="mean over seeds on test",
    )


def _with_seed(row: Mapping) -> str:
    return f"{row['setting']}, seed {row['seed']}"


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
