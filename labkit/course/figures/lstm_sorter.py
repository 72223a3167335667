"""Figures of notebook 06: training and searching for an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from labkit.course.figures.shared import level, thousands
from labkit.course.figures.style import (
    BELOW,
    PALETTE,
    CourseFigure,
    styled,
)


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
        level(ax, given, given_name)
    ax.set(xlabel="forward passes spent (sentences through the model)", ylabel=ylabel)
    ax.set_xlim(0, budget)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    thousands(ax.xaxis)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=min(4, len(histories) + (given is not None)))
    return fig
