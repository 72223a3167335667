"""Where the answer slot looks: its attention as bars over the text.

The picture says the same with its colours off: virtual tokens have an outline and slanted labels,
and each bar that can be seen carries its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import LabError
from labkit.course.figures.data_flow import KINDS, Kind, Piece
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
    text,
    width_of,
)
from labkit.course.figures.style import INK

BAR = 46  # height of the longest bar
NUMBER, LABEL = 14, 34  # room above the bars and below them
SUBHEADING, LEGEND = 22, 26


class AnswerAttention(NamedTuple):
    """What the answer slot looks at while a model answers on one text.

    ``pieces``: T triples (piece, id, kind). ``answer``: the slot's place among them; of a causal
    model the last, mostly a word of the template. ``shares``: (layers, heads, T), each head's 1.
    """

    pieces: list[Piece]
    answer: int
    shares: np.ndarray


def attention_map(
    looks: Mapping[str, AnswerAttention], layer: int | None = None, head: int | None = None
) -> Drawing:
    """The answer slot's attention under each prompt, a bar per place; all bars on one scale.

    Args:
        looks: name of a prompt -> its attention on one text (`interact.trace.answer_attention`);
            all of the same model.
        layer, head: which one, counted from 1; None is the mean over all of them.

    Raises:
        LabError: for a layer or a head that the model doesn't have.
    """
    shares = {name: _chosen(look.shares, layer, head) for name, look in looks.items()}  # (T,)
    n_layers, n_heads, _ = next(iter(looks.values())).shares.shape
    first, look = next(iter(looks.items()))
    piece, _, kind = look.pieces[int(shares[first].argmax())]
    seen = label(piece) if kind == "soft" else f"“{label(piece)}”"
    title = (
        f"The answer slot looks most at {seen}, {_percent(shares[first].max())} "
        f"({first}, {_scope(layer, n_layers, head, n_heads)})"
    )
    subtitles = [f"{name}: {_split(looks[name], shares[name])}" for name in looks]

    longest = max(float(values.max()) for values in shares.values())
    body: list[str] = []
    y = HEADING
    for subtitle, (name, values) in zip(subtitles, shares.items(), strict=True):
        body.append(text(MARGIN, y + 16, subtitle, f'font-size="13" {SANS}'))
        y += SUBHEADING
        for line in _lines(looks[name]):
            heights = [BAR * values[place] / longest for place, _, _ in line]
            y += NUMBER + max(heights)
            body.append(_rule(y, line))
            for (place, x, width), height in zip(line, heights, strict=True):
                body += _column(looks[name], place, x, width, y, height, values[place])
            y += LABEL
    body += _legend(looks, y)
    return drawing(y + LEGEND, title, body, ". ".join(subtitles))


def _chosen(shares: NDArray, layer: int | None, head: int | None) -> NDArray:
    """(layers, heads, T) → (T,)."""
    for what, number, count in zip(("layer", "head"), (layer, head), shares.shape, strict=False):
        if number is not None and not 1 <= number <= count:
            raise LabError(f"there is no {what} {number}: give one from 1 to {count}")
    shares = shares.mean(0) if layer is None else shares[layer - 1]
    return shares.mean(0) if head is None else shares[head - 1]


def _scope(layer: int | None, n_layers: int, head: int | None, n_heads: int) -> str:
    if layer is None and head is None:
        return f"mean of {n_layers} layers and {n_heads} heads"
    one, other = (
        f"mean of {count} {what}s" if number is None else f"{what} {number} of {count}"
        for what, number, count in (("layer", layer, n_layers), ("head", head, n_heads))
    )
    return f"{one}, {other}"


def _split(look: AnswerAttention, shares: NDArray) -> str:
    """The attention in parts: the first place, where it tends to rest, and the others by kind."""
    spoken: dict[Kind, str] = {
        "soft": "other virtual tokens",
        "word": "words",
        "special": "special tokens",
        "mask": "answer slot itself",
    }
    parts = [f"first place {_percent(shares[0])}"]
    for kind, name in spoken.items():
        places = [i for i, piece in enumerate(look.pieces) if piece[2] == kind and i]
        if places:
            parts.append(f"{name} {_percent(shares[places].sum())}")
    return ", ".join(parts)


def _lines(look: AnswerAttention) -> Iterator[list[tuple[int, float, float]]]:
    """Places with their left edge and width, broken into lines like a text."""
    line: list[tuple[int, float, float]] = []
    x = float(MARGIN)
    for place, (piece, _, _) in enumerate(look.pieces):
        width = max(26.0, 8 + width_of(label(piece)))
        if line and x + width > PIXELS - MARGIN:
            yield line
            line, x = [], float(MARGIN)
        line.append((place, x, width))
        x += width
    yield line


def _rule(y: float, line: list[tuple[int, float, float]]) -> str:
    end = line[-1][1] + line[-1][2]
    return f'<path d="M {MARGIN} {y:.1f} H {end:.1f}" stroke="{INK}" stroke-width="0.5"/>'


def _column(
    look: AnswerAttention,
    place: int,
    x: float,
    width: float,
    base: float,
    height: float,
    share: float,
) -> Iterator[str]:
    """A bar on its base line, its number above and its label below."""
    piece, _, kind = look.pieces[place]
    middle, centred = x + width / 2, f'text-anchor="middle" {MONO}'
    # an outline around next to nothing would be all that one sees
    outlined = kind == "soft" and height > 2
    yield box(x + 2, base - height, width - 4, height, KINDS[kind][0], outlined)
    if share >= 0.005:
        number = f"{100 * share:.0f}"
        yield text(middle, base - height - 3, number, f'{centred} font-size="10"')
    style = ' font-style="italic"' if kind == "soft" else ""
    if place == look.answer:
        style += ' font-weight="bold" text-decoration="underline"'
    yield text(middle, base + 15, label(piece), f'{centred} font-size="12"{style}')


def _legend(looks: Mapping[str, AnswerAttention], y: float) -> Iterator[str]:
    there = {kind for look in looks.values() for _, _, kind in look.pieces}
    x, style = float(MARGIN), f'font-size="12" {SANS}'
    for kind, (colour, name) in KINDS.items():
        if kind in there:
            name = name.removesuffix(" (trained)")  # an untrained one may stand beside it
            yield box(x, y, 12, 12, colour, kind == "soft")
            yield text(x + 18, y + 11, name, style)
            x += 40 + width_of(name)
    yield text(x, y + 11, "underlined: where the answer is read; numbers in per cent", style)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
