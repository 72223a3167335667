"""One order of a probe: where each virtual token went, and where its score stands among the others.

The picture says the same with its colours off: the strip carries numbers where they fit, and each
line of the histogram its name.
"""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

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
from labkit.course.figures.style import BLUE, INK, VERMILLION
from labkit.shuffle_probe import Probe

STRIP, CAPTION = 34, 34  # heights: the strip of places, the line below it
BINS, TALLEST = 30, 130  # of the histogram
ROOM = 40  # above the histogram, for the names of its lines, one above the other
AXIS = 44  # below it
PALE = "#C9C9C9"
NUMBERED = 30
"""Longest prompt whose places carry their numbers."""


def order_map(probe: Probe, index: int) -> Drawing:
    """Order ``index`` as a strip of places, above where its score stands among all."""
    score, trained = float(probe.scores[index]), probe.baseline
    flips = int((probe.predictions[index] != probe.trained).sum())
    title = (
        f"Order {index}: {score:.3f} against {trained:.3f}; {flips} of {len(probe.trained)} flip"
    )
    top = HEADING + STRIP + CAPTION + ROOM
    body = [*_strip(probe.orders[index]), *_histogram(probe, score, top)]
    alt = (
        f"Order {' '.join(map(str, probe.orders[index]))}. Histogram of the {probe.metric} of "
        f"{len(probe.orders)} orders, from {probe.scores.min():.3f} to {probe.scores.max():.3f}."
    )
    return drawing(top + TALLEST + AXIS, title, body, alt)


def _strip(order: np.ndarray) -> Iterator[str]:
    """A field per place, coloured by where its virtual token was trained."""
    width = (PIXELS - 2 * MARGIN) / len(order)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, len(order)))  # (P, 4)
    for place, token in enumerate(order):
        x = MARGIN + place * width
        yield box(x, HEADING, width, STRIP, to_hex(colours[token]), outlined=False)
        if len(order) <= NUMBERED:
            ink = "white" if token < len(order) / 2 else INK
            style = f'text-anchor="middle" font-size="13" fill="{ink}" {SANS}'
            yield text(x + width / 2, HEADING + 22, str(token), style)
    said = "place in the prompt (colour and number: place in the trained order)"
    middle = f'text-anchor="middle" font-size="12" {SANS}'
    yield text(PIXELS / 2, HEADING + STRIP + 18, said, middle)


def _histogram(probe: Probe, score: float, top: float) -> Iterator[str]:
    """The scores of all orders, and lines at the trained order's and at ``score``."""
    counts, edges = np.histogram(probe.scores, bins=BINS)
    low, high = min(edges[0], probe.baseline), max(edges[-1], probe.baseline)
    margin = 0.03 * (high - low) or 0.01
    low, high = low - margin, high + margin

    def across(value: float) -> float:
        return MARGIN + (PIXELS - 2 * MARGIN) * (value - low) / (high - low)

    base = top + TALLEST
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        height = TALLEST * count / counts.max()
        x = across(left)
        yield box(x, base - height, across(right) - x, height, PALE, outlined=False)
    yield f'<path d="M {MARGIN} {base:.1f} H {PIXELS - MARGIN}" stroke="{INK}"/>'
    small = f'text-anchor="middle" font-size="12" {SANS}'
    for tick in MaxNLocator(6).tick_values(low, high):
        if low <= tick <= high:
            yield text(across(tick), base + 16, f"{tick:.2f}", small)
    yield text(PIXELS / 2, base + 36, f"{probe.metric} on test; height: number of orders", small)
    yield from _line(across(probe.baseline), top - 18, base, "trained order", VERMILLION)
    yield from _line(across(score), top, base, "this order", BLUE)


def _line(x: float, top: float, base: float, name: str, colour: str) -> Iterator[str]:
    """A line from top to base, its name above it."""
    yield f'<path d="M {x:.1f} {top:.1f} V {base:.1f}" stroke="{colour}" stroke-width="2.5"/>'
    anchor = "start" if x < 0.15 * PIXELS else "end" if x > 0.85 * PIXELS else "middle"
    style = f'text-anchor="{anchor}" font-size="12" font-weight="bold" fill="{colour}" {SANS}'
    yield text(x, top - 5, name, style)
