"""Figures of notebook 05: who knows where a virtual token stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

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
from labkit.course.figures.shared import name_rows, reference_line
from labkit.course.figures.style import (
    BELOW,
    BLUE,
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


class Answers(NamedTuple):
    """What a reader says of the tokens in one order.

    ``places``: (P,) the place it names for each; ``neighbours``: (P − 1,) the token that it names
    as the left neighbour of each but the first.
    """

    places: Sequence[int]
    neighbours: Sequence[int]


NAMES, QUESTIONS, CELL = 96, 110, 24  # widths and the height of a row, in pixels


def who_knows(order: Sequence[int], answers: Mapping[str, Answers]) -> Drawing:
    """Tokens in an order, and under each what every reader says of it: filled where it is right.

    Args:
        order: (P,) which token stands at each place.
        answers: reader → what it says of this order.
    """
    rows = {
        (name, question): verdicts
        for name, answer in answers.items()
        for question, verdicts in _verdicts(order, answer).items()
    }
    right = {key: sum(good for _, good in verdicts) for key, verdicts in rows.items()}
    scores = ", ".join(
        f"{name} {right[name, 'place']} + {right[name, 'neighbour']}" for name in answers
    )
    title = f"Places + neighbours right: {scores}"
    left = MARGIN + NAMES + QUESTIONS
    width = (PIXELS - left - MARGIN) / len(order)
    body = list(_row(left, HEADING, width, [(str(token), True) for token in order], PALE))
    body.append(text(MARGIN, HEADING + 16, "token at this place", f'font-size="12" {SANS}'))
    y = HEADING + CELL + 10
    for (name, question), verdicts in rows.items():
        if question == "place":
            body.append(text(MARGIN, y + 16, name, f'font-weight="bold" font-size="12" {SANS}'))
        body.append(text(MARGIN + NAMES, y + 16, f"says: {question}", f'font-size="12" {SANS}'))
        first = left + (len(order) - len(verdicts)) * width
        body += _row(first, y, width, verdicts, BLUE)
        y += CELL + (10 if question == "neighbour" else 2)
    caption = "filled: right; outlined: wrong; neighbour: the token to the left"
    body.append(text(left, y + 10, caption, f'font-size="12" {SANS}'))
    return drawing(y + 22, title, body, f"Order {' '.join(map(str, order))}")


def _verdicts(order: Sequence[int], answers: Answers) -> dict[str, list[tuple[str, bool]]]:
    """Question → what is said of each token, and whether it is right."""
    places = [(str(place), place == at) for at, place in enumerate(answers.places)]
    pairs = zip(answers.neighbours, order[:-1], strict=True)
    return {"place": places, "neighbour": [(str(token), token == true) for token, true in pairs]}


def _row(
    left: float, y: float, width: float, cells: Sequence[tuple[str, bool]], colour: str
) -> Iterator[str]:
    for column, (words, filled) in enumerate(cells):
        x = left + column * width
        yield box(x + 1, y, width - 2, CELL, colour if filled else "white", outlined=not filled)
        ink = "white" if filled and colour == BLUE else INK
        style = f'text-anchor="middle" font-size="12" fill="{ink}" {SANS}'
        yield text(x + width / 2, y + 16, words, style)
