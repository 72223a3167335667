"""Figures of notebook 05: who knows where a virtual token stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labkit.course.figures.shared import name_rows, reference_line
from labkit.course.figures.style import (
    BELOW,
    INK,
    PALETTE,
    CourseFigure,
    styled,
)


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
    reference_line(ax, chance, "chance")
    ax.set(xlabel=f"{xlabel} (bar: mean, dots: seeds)", xlim=(0, 1.02))
    name_rows(ax, settings)
    fig.legend(loc=BELOW, ncols=len(questions))
    return fig
