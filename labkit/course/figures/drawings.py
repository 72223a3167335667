"""Pictures that are plain strings: SVG that needs no font, style or script from anywhere.

They are for what a slider moves through, and are shown as an image with an alternative text. Drawn
side by side on one busy core (medians of 6 to 15 redraws), these strings against a figure of
matplotlib with the same content: one order 0.7 ms and 8 kB against 530 ms and 49 kB (150 ms if one
figure is kept and only its artists are moved, at half the resolution); the attention of a text
1.2 ms against 1,570 ms; nearest words 0.1 ms against 370 ms. A slider wants ten pictures a second.
"""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.core.assets import language
from labkit.course.figures.data_flow import visible
from labkit.course.figures.style import INK, SCREEN_DPI, WIDTH
from labkit.course.language import in_language

PIXELS = round(WIDTH * SCREEN_DPI)
MARGIN = 8
HEADING = 34  # height of the title's line
PALE = "#C9C9C9"
CHARACTER = 7.2  # width of one character of a label, in MONO at 12 pixels
SANS = 'font-family="DejaVu Sans, Verdana, sans-serif"'
MONO = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"'


@dataclass(frozen=True)
class Drawing:
    """An SVG of the course's width, and in words what it shows."""

    svg: str
    alt: str

    def html(self) -> str:
        """The picture as an element that a page can hold, cut off from the page's own style."""
        data = base64.b64encode(self.svg.encode()).decode("ascii")
        return (
            f'<img alt="{escape(self.alt, quote=True)}" style="max-width: 100%" '
            f'src="data:image/svg+xml;base64,{data}">'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.alt}


def drawing(height: float, title: str, body: Iterable[str], alt: str) -> Drawing:
    """A picture of ``height`` pixels on white, with its title on top of the elements of ``body``.

    Args:
        alt: what is seen, for those who can't see it; the title comes in front of it.
    """
    title, alt = in_language(title), in_language(alt)
    heading = text(MARGIN, 22, title, f'font-weight="bold" font-size="15" {SANS}')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PIXELS}" height="{height:.0f}" '
        f'viewBox="0 0 {PIXELS} {height:.0f}" role="img" fill="{INK}">'
        f"<title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" fill="white"/>{heading}{"".join(body)}</svg>'
    )
    return Drawing(svg, f"{title}. {alt}")


def text(x: float, y: float, words: str, attributes: str) -> str:
    """Words in the reader's language; what stands in `MONO` is code or a piece, and stays."""
    words = words if MONO in attributes else in_language(words)
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str, outlined: bool) -> str:
    outline = f' rx="3" stroke="{INK}"' if outlined else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}"{outline}/>'
    )


def label(piece: str) -> str:
    """The piece as it can stand in an SVG, which takes no control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in visible(piece))


def width_of(shown: str) -> float:
    """Pixels of a label; characters of Chinese and emoji count twice."""
    return CHARACTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown)


def listed(names: list[str]) -> str:
    """a, b and c."""
    *before, last = map(in_language, names)
    comma, link = ("、", " 和 ") if language() == "zh" else (", ", " and ")
    return f"{comma.join(before)}{link}{last}" if before else last
