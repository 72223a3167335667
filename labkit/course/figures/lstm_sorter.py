"""Figures of notebook 06: training and searching for an order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from labkit.course.figures.drawings import (
    HEADING,
    MARGIN,
    PALE,
    PIXELS,
    SANS,
    Drawing,
    drawing,
    text,
)
from labkit.course.figures.shared import level, name_rows, over_prompts_mark, thousands
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    GREY,
    INK,
    PALETTE,
    VERMILLION,
    CourseFigure,
    styled,
)
from labkit.lstm_sorter import PairChanges


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
        level(ax, given, "the order given")
    ax.set(xlabel="forward passes spent (sentences through the model)", ylabel=ylabel)
    ax.set_xlim(0, budget)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    thousands(ax.xaxis)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=min(4, len(histories) + (given is not None)))
    return fig


@styled
def winners_and_losers(
    lines: Sequence[Mapping], against: Sequence[str], title: str, *, xlabel: str
) -> CourseFigure:
    """Searches at one budget: a panel for each setting they are held against, a row per search.

    Args:
        lines: as `labkit.experiments.searches.pool` makes them: ``better``, ``worse``, ``prompts``,
            ``mean_difference`` with its interval, ``by_prompt``. Rows are in the order of the
            first ones.
        against: those ``worse`` that get a panel, from left to right.
    """
    panels = {name: f"minus {name}" for name in against}
    return _gap_panels(lines, "better", "worse", panels, title, xlabel)


@styled
def gains_of_sorting(lines: Sequence[Mapping], title: str, *, xlabel: str) -> CourseFigure:
    """What searches gain on prompts that were trained in different ways: a panel for each way, a
    row per search.

    Args:
        lines: as `labkit.experiments.worth_of_sorting.pool` makes them: ``way``, ``method``,
            ``prompts``, ``mean_difference`` with its interval, ``by_prompt``, and ``kept``: for how
            many prompts the given order was handed back. Where that is all of them, there is no
            gain to draw: an open dot.
    """
    panels = {line["way"]: f"{line['way']} prompts" for line in lines}
    return _gap_panels(lines, "method", "way", panels, title, xlabel, sharex=True)


def _gap_panels(
    lines: Sequence[Mapping],
    row_of: str,
    panel_of: str,
    panels: Mapping[str, str],
    title: str,
    xlabel: str,
    sharex: bool = False,
) -> CourseFigure:
    """Differences with their intervals and prompts; a panel, with its name, for each value of
    ``panel_of``, a row for each of ``row_of``."""
    rows = list(dict.fromkeys(line[row_of] for line in lines if line[panel_of] in panels))
    counts = {line[row_of]: line["prompts"] for line in lines}
    fig = CourseFigure(2.0 + 0.34 * len(rows), title)
    axes = np.atleast_1d(fig.subplots(1, len(panels), sharex=sharex, sharey=True))
    for ax, (value, name) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color=VERMILLION, linestyle="--", linewidth=1.3, zorder=0)
        for line in lines:
            if line[panel_of] != value:
                continue
            y = rows.index(line[row_of])
            if _found_none(line):
                ax.plot(0, y, "o", color=GREY, markerfacecolor="white", markersize=7)
            else:
                over_prompts_mark(ax, y, line, BLUE if line["prompts"] > 1 else GREY)
        ax.set_title(name, loc="left")
        ax.grid(axis="x", alpha=0.5)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
    for ax in axes if sharex else [axes[len(axes) // 2]]:
        ax.set_xlabel(xlabel)
    name_rows(axes[0], [f"{name} ({counts[name]})" for name in rows])
    marks = [Line2D([], [], color=BLUE, marker="o", label="mean over prompts, 95 % interval")]
    if min(counts.values()) == 1:
        alone = "one prompt, interval over sentences"
        marks.append(Line2D([], [], color=GREY, marker="o", label=alone))
    marks.append(Line2D([], [], color=GREY, marker="o", ls="", ms=4, label="one prompt"))
    if any(map(_found_none, lines)):
        none = "no other order found, on any prompt"
        marks.append(Line2D([], [], color=GREY, marker="o", mfc="white", ls="", label=none))
    fig.legend(handles=marks, loc=BELOW, ncols=len(marks))
    return fig


def _found_none(line: Mapping) -> bool:
    return line.get("kept") == line["prompts"]


PLOT = 330  # height of the plane of predicted and measured changes, in pixels
LEFT = 64  # pixels for the numbers of the upright axis


def exchange_map(changes: PairChanges, first: int, second: int) -> Drawing:
    """Every exchange of two virtual tokens as a dot: what the gradient foretold, what came of it.

    Exchanges of ``first`` are blue, the one with ``second`` has a ring; on the line the two agree.
    """
    predicted, measured = np.array(changes.predicted), np.array(changes.measured)  # (pairs,)
    chosen = [{first, second} == set(pair) for pair in changes.pairs]
    touched = [first in pair for pair in changes.pairs]
    if any(chosen):
        at = chosen.index(True)
        title = (
            f"Places {first} and {second} exchanged: {predicted[at]:+.3f} nats predicted, "
            f"{measured[at]:+.3f} measured"
        )
    else:
        better = int((measured[touched] < 0).sum())
        title = f"{better} of {sum(touched)} exchanges of place {first} lower the loss"
    across = _scale(predicted, LEFT, PIXELS - MARGIN - 10)
    up = _scale(measured, HEADING + PLOT, HEADING + 10)
    body = [*_axes(predicted, measured, across, up)]
    for blue in (False, True):  # the blue ones on top
        body += [
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="{4.5 if blue else 3}" '
            f'fill="{BLUE if blue else PALE}"/>'
            for x, y, is_touched in zip(predicted, measured, touched, strict=True)
            if is_touched is blue
        ]
    for x, y, ring in zip(predicted, measured, chosen, strict=True):
        if ring:
            body.append(
                f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="9" fill="none" '
                f'stroke="{VERMILLION}" stroke-width="3"/>'
            )
    alt = f"{len(predicted)} exchanges; those of place {first} are marked."
    return drawing(HEADING + PLOT + 46, title, body, alt)


def _scale(values: NDArray, start: float, end: float) -> Callable[[float], float]:
    """Value → pixels, with some room at both ends and zero in sight."""
    low, high = min(0.0, values.min()), max(0.0, values.max())
    room = 0.05 * (high - low) or 1.0
    low, high = low - room, high + room
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _axes(
    predicted: NDArray,
    measured: NDArray,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> Iterator[str]:
    """Ticks, the lines at zero, and the diagonal on which prediction and measurement agree."""
    base = HEADING + PLOT
    small = f'font-size="12" {SANS}'
    frame = f"M {LEFT} {HEADING + 10} V {base} H {PIXELS - MARGIN}"
    yield f'<path d="{frame}" stroke="{INK}" fill="none"/>'
    for tick in _ticks(predicted):
        yield text(across(tick), base + 16, f"{tick:g}", f'text-anchor="middle" {small}')
    for tick in _ticks(measured):
        yield text(LEFT - 6, up(tick) + 4, f"{tick:g}", f'text-anchor="end" {small}')
    low = max(predicted.min(), measured.min())
    high = min(predicted.max(), measured.max())
    lines = (
        (across(0), HEADING + 10, across(0), base, GREY),
        (LEFT, up(0), PIXELS - MARGIN, up(0), GREY),
        (across(low), up(low), across(high), up(high), INK),
    )
    for x1, y1, x2, y2, colour in lines:
        yield (
            f'<path d="M {x1:.1f} {y1:.1f} L {x2:.1f} {y2:.1f}" stroke="{colour}" '
            'stroke-dasharray="4 4"/>'
        )
    middle = (LEFT + PIXELS) / 2
    words = "predicted change of the loss (nats); upwards: measured; dashed slope: they agree"
    yield text(middle, base + 38, words, f'text-anchor="middle" {small}')


def _ticks(values: NDArray) -> list[float]:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    return [tick for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high]
