"""Figures of notebook 09: few examples."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from labkit.course.figures.shared import level
from labkit.course.figures.style import BELOW, GREY, INK, PALETTE, CourseFigure, styled


@styled
def few_shot_curves(
    scores: Mapping[str, Mapping[int, Sequence[float]]],
    title: str,
    *,
    ylabel: str,
    untrained: Mapping[str, float],
) -> CourseFigure:
    """Means over draws against the number of training examples, every draw a dot beside its mean.

    Args:
        scores: method → training examples → the score of each draw.
        untrained: what is reached without a training example, a level for each name.
    """
    fig = CourseFigure(4.6, title)
    ax = fig.subplots()
    for i, (method, draws) in enumerate(scores.items()):
        aside = 1 + 0.07 * (i - (len(scores) - 1) / 2)  # so that dots of two methods stay apart
        colour = (*PALETTE, GREY)[i]  # a colour used twice would make two methods one
        sizes = np.array(list(draws))
        ax.plot(sizes, [np.mean(v) for v in draws.values()], "-", color=colour, lw=1.8,
                label=method)  # fmt: skip
        for size, values in draws.items():
            ax.plot([size * aside] * len(values), values, "o", color=colour, ms=4, alpha=0.6,
                    mec="white", mew=0.4)  # fmt: skip
    for (name, score), style in zip(untrained.items(), itertools.cycle(("--", ":")), strict=False):
        level(ax, score, name, INK, style)
    ticks = sorted({size for draws in scores.values() for size in draws})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, list(map(str, ticks)))
    ax.minorticks_off()
    ax.set(xlabel="training examples (as many again to choose the step)", ylabel=ylabel)
    ax.grid(alpha=0.4)
    fig.legend(loc=BELOW, ncols=3)
    return fig
