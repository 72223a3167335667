"""The reader's own predictions: ranges around the numbers that they were meant to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.course.figures.shared import interval_mark, name_rows
from labkit.course.figures.style import BLUE, GREY, ORANGE, CourseFigure, styled


@styled
def ranges_around(ranges: Mapping[str, Sequence[float]], title: str) -> CourseFigure:
    """Each range as a line around its number, which stands at 0; those that miss it in orange.

    Args:
        ranges: question -> (guess, low, high), each less the number that came, as shares of all
            that the number can be.
    """
    fig = CourseFigure(1.4 + 0.34 * len(ranges), title)
    ax = fig.subplots()
    for y, (guess, low, high) in enumerate(ranges.values()):
        interval_mark(ax, y, (guess, low, high), BLUE if low <= 0 <= high else ORANGE)
    name_rows(ax, list(ranges))
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.3, zorder=0)
    ax.set(xlabel="your guess and range, less the number (share of what is possible)", ylabel="")
    ax.grid(axis="x", alpha=0.5)
    return fig
