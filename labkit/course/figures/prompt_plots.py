"""What notebook 02's sliders draw: lengths against each other, a virtual token's neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from matplotlib.ticker import PercentFormatter

from labkit.core.errors import LabError
from labkit.core.statistics import Difference, paired_difference
from labkit.course.figures.drawings import (
    HEADING,
    MARGIN,
    MONO,
    PIXELS,
    SANS,
    Drawing,
    box,
    drawing,
    label,
    listed,
    text,
)
from labkit.course.figures.plots import BELOW
from labkit.course.figures.style import BLUE, GREY, INK, VERMILLION, CourseFigure, styled
from labkit.experiments.base.rows import paired_answers
from labkit.soft_prompt import Neighbours

ENTRY, COSINE_OF_ONE = 108, 105  # pixels: the room for a word, the bar of a cosine of one


class Duel(NamedTuple):
    """Two settings on the same sentences and seeds.

    ``gained``, ``lost``: share of the sentences that only the first, only the second gets right.
    ``difference``: first minus second, with its interval over seeds and sentences.
    """

    gained: float
    lost: float
    difference: Difference


def duels(rows: Sequence[Mapping], settings: Sequence[str]) -> dict[tuple[str, str], Duel]:
    """Each setting against each other one, from the rows of a result with the answers in them.

    Raises:
        LabError: for two settings that have no seed in common.
    """
    found = {}
    for first, second in combinations(settings, 2):
        pairs = paired_answers(rows, first, second)
        if pairs is None:
            raise LabError(f"{first} and {second} have no seed in common: run both with the same")
        one, other = pairs  # (seeds, N)
        gained, lost = float((one & ~other).mean()), float((other & ~one).mean())
        value, low, high = paired_difference(one, other)
        found[first, second] = Duel(gained, lost, Difference(value, low, high))
        found[second, first] = Duel(lost, gained, Difference(-value, -high, -low))
    return found


@styled
def length_duels(found: Mapping[tuple[str, str], Duel], chosen: str) -> CourseFigure:
    """One length against every other: sentences gained and lost, and what is left of that."""
    against = sorted((second for first, second in found if first == chosen), key=float)
    others = {name: found[chosen, name] for name in against}
    fig = CourseFigure(1.5 + 0.45 * len(others), f"Length {chosen} {_told(others)}")
    ax = fig.subplots()
    for y, duel in enumerate(others.values()):
        ax.barh(y, duel.gained, color=BLUE, height=0.6, alpha=0.6)
        ax.barh(y, -duel.lost, color=VERMILLION, height=0.6, alpha=0.6, hatch="//", ec="white")
        value, low, high = duel.difference
        ax.errorbar(
            value, y, xerr=[[value - low], [high - value]], fmt="D", color=INK, mec="white", ms=7
        )
    widest = max(max(duel.gained, duel.lost) for duel in found.values()) * 1.1
    ax.axvline(0, color=GREY, linewidth=1)
    ax.set_yticks(range(len(others)), [f"against {name}" for name in others])
    ax.set(xlim=(-widest, widest), ylim=(len(others) - 0.5, -0.5))
    ax.set_xlabel("share of the test sentences, over the seeds")
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.tick_params(axis="y", length=0)
    gained, lost, difference = (ax.containers[i] for i in range(3))
    names = [f"right with {chosen} only", "right with the other only", "difference, 95 % interval"]
    fig.legend([gained, lost, difference], names, loc=BELOW, ncols=3)
    return fig


def _told(others: Mapping[str, Duel]) -> str:
    """Which lengths lie behind, which ahead, and which can't be told apart."""
    behind = [name for name, duel in others.items() if duel.difference.low > 0]
    ahead = [name for name, duel in others.items() if duel.difference.high < 0]
    open_ = [name for name in others if name not in behind + ahead]
    parts = [("beats", behind), ("loses to", ahead), ("can't be told from", open_)]
    return ", ".join(f"{verb} {listed(names)}" for verb, names in parts if names)


def nearest_words(groups: Mapping[str, Neighbours], row: int) -> Drawing:
    """The vocabulary entries nearest to one row of each group's prompt, with their cosines.

    Args:
        groups: name (such as trained, where it started, random) -> nearest entries of its rows.
        row: which one; row r is the virtual token e(r+1).
    """
    nearest = {name: label(found.tokens[row][0]) for name, found in groups.items()}
    first, *others = nearest
    same = [name for name in others if nearest[name] == nearest[first]]
    title = f"e{row + 1} is nearest to “{nearest[first]}” ({listed([first, *same])})"
    body: list[str] = []
    spoken = []
    for column, (name, found) in enumerate(groups.items()):
        left = MARGIN + column * (PIXELS - 2 * MARGIN) / len(groups)
        body.append(text(left, HEADING + 14, f"{name}: cosine", f'font-size="13" {SANS}'))
        colour = BLUE if name == first else GREY
        entries = list(zip(map(label, found.tokens[row]), found.cosines[row].tolist(), strict=True))
        for place, (entry, cosine) in enumerate(entries):
            body += _entry(left, HEADING + 24 + 22 * place, entry, cosine, colour)
        spoken.append(f"{name}: " + ", ".join(f"{entry} {cosine:.2f}" for entry, cosine in entries))
    height = HEADING + 34 + 22 * max(len(found.tokens[row]) for found in groups.values())
    return drawing(height, title, body, ". ".join(spoken))


def _entry(left: float, y: float, entry: str, cosine: float, colour: str) -> Iterator[str]:
    """A bar behind its word, with its cosine."""
    start, end = left + ENTRY, left + ENTRY + COSINE_OF_ONE * max(cosine, 0.0)
    yield text(start - 6, y + 13, entry, f'text-anchor="end" font-size="12" {MONO}')
    yield box(start, y, end - start, 17, colour, outlined=False)
    yield text(end + 5, y + 13, f"{cosine:.2f}", f'font-size="12" {SANS}')
