"""Figures of notebook 07: regressions, and what methods add to each other task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from labkit.audit.recompute import Cell
from labkit.core.statistics import Difference
from labkit.course.figures.drawings import (
    HEADING,
    MARGIN,
    PIXELS,
    SANS,
    Drawing,
    box,
    drawing,
    text,
)
from labkit.course.figures.shared import interval_mark, name_rows
from labkit.course.figures.style import (
    BELOW,
    BLUE,
    GREY,
    PURPLE,
    CourseFigure,
    styled,
)


@styled
def gains_by_task(
    ours: Mapping[str, Mapping[str, Difference]],
    paper: Mapping[str, Mapping[str, float]],
    title: str,
    *,
    xlabel: str,
    marked: Sequence[str] = (),
    seeds: Mapping[str, Mapping[str, int]] | None = None,
) -> CourseFigure:
    """One panel a method: our difference with its interval beside the paper's, a row per task.

    Args:
        ours: method -> task -> difference; an interval with NaN ends is not drawn, and a task that
            is missing has no dot.
        paper: method -> task -> printed difference, where the paper has the method.
        marked: tasks that get an asterisk, such as those in the model's own training data.
        seeds: method -> task -> how many seeds stand behind a dot, written above it.
    """
    both = (*paper.values(), *ours.values())
    tasks = list(dict.fromkeys(task for gains in both for task in gains))
    fig = CourseFigure(1.7 + 0.3 * len(tasks), title)
    axes = np.atleast_1d(fig.subplots(1, len(ours), sharey=True, sharex=True))
    for ax, (method, gains) in zip(axes, ours.items(), strict=True):
        for y, task in enumerate(tasks):
            if task in gains:
                interval_mark(ax, y, gains[task], name="here, 95 % interval")
                if seeds is not None:
                    _seeds_above(ax, gains[task].value, y, seeds[method][task])
            if task in paper.get(method, {}):
                x = paper[method][task]
                ax.plot(x, y + 0.25, "D", color=PURPLE, mfc="white", label="printed, T5-base")
        ax.axvline(0, color=GREY, linewidth=1, zorder=0)
        ax.set_title(method)
        ax.grid(axis="x", alpha=0.5)
        ax.tick_params(axis="y", length=0)
    name_rows(axes[0], [t + "*" * (t in marked) for t in tasks])
    axes[0].set_ylim(len(tasks) - 0.4, -0.6)
    handles = dict(
        reversed(pair) for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)
    )
    # the label of all x axes heads the legend: beside one below the figure it would be overprinted
    fig.legend(
        handles.values(), handles.keys(), loc=BELOW, ncols=2, title=xlabel, title_fontsize=10
    )
    return fig


def _seeds_above(ax: Axes, x: float, y: float, count: int) -> None:
    """How many seeds stand behind a dot; hides the lines at zero, and no dot."""
    look = {"ha": "center", "va": "bottom", "size": 8, "color": GREY}
    ax.text(x, y - 0.2, str(count), **look, bbox={"color": "white", "pad": 0.5}, zorder=1)


@styled
def read_against_rated(
    panels: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, *, label: str
) -> CourseFigure:
    """Scatter plots side by side: what a model reads against what people rated.

    Args:
        panels: name -> (values read, ratings); label: of both axes, with the unit.
    """
    fig = CourseFigure(3.7, title)
    axes = np.atleast_1d(fig.subplots(1, len(panels), sharex=True, sharey=True))
    for ax, (name, (read, rated)) in zip(axes, panels.items(), strict=True):
        ax.plot(rated, read, ".", color=BLUE, alpha=0.25, markersize=5, rasterized=True)
        ax.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=1)
        ax.set(title=name, xlabel=f"rated: {label}", ylabel="read" if ax is axes[0] else "")
    return fig


MISMATCH = "#F6D5BF"
HEIGHT, FIRST_COLUMN = 40, 120  # pixels of a row, and of the column with the rows' names


def recomputed_table(rows: Sequence[Mapping[str, Cell]], name: str) -> Drawing:
    """A printed table, and below each cell that can't be right what could stand there.

    Args:
        rows: column → cell, see `labkit.audit.recompute.recompute`.
        name: of the table.
    """
    columns = list(rows[0])
    cells = [cell for row in rows for cell in row.values()]
    scores = [cell for cell in cells if cell.kind == "score"]
    sums = [cell for cell in cells if cell.kind in ("mean", "total", "count")]
    parts = []
    for group, words in ((sums, "sums and means come out"), (scores, "scores are some k of n")):
        if group:
            right = sum(cell.right is None for cell in group)
            parts.append(f"{right} of {len(group)} {words}")
    title = f"{name}: {', '.join(parts) or 'nothing in it can be recomputed'}"
    width = (PIXELS - 2 * MARGIN - FIRST_COLUMN) / max(1, len(columns) - 1)
    lefts = [MARGIN, *(MARGIN + FIRST_COLUMN + width * i for i in range(len(columns) - 1))]
    small = f'font-size="12" {SANS}'
    body = [
        text(x + 4, HEADING + 14, column, f'font-weight="bold" {small}')
        for x, column in zip(lefts, columns, strict=True)
    ]
    y = HEADING + 22
    for row in rows:
        for x, cell in zip(lefts, row.values(), strict=True):
            if cell.right is not None:
                body.append(box(x, y, width - 4, HEIGHT - 4, MISMATCH, outlined=True))
                body.append(text(x + 4, y + 31, f"→ {cell.right}", small))
            body.append(text(x + 4, y + 15, cell.printed, f'font-size="13" {SANS}'))
        y += HEIGHT
    caption = "→ what the row gives; of a score, the nearest that some k of n gives"
    body.append(text(MARGIN + 4, y + 14, caption, small))
    wrong = "; ".join(
        f"{column} {cell.printed} → {cell.right}"
        for row in rows
        for column, cell in row.items()
        if cell.right is not None
    )
    return drawing(y + 24, title, body, wrong or "Nothing differs.")
