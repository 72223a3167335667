"""The one figure style of the course.

Every figure is a :class:`CourseFigure`: it shows itself as the same PNG in every front end, byte
for byte on every machine with the same matplotlib, and needs neither pyplot nor a display. Colours
are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import base64
import functools
import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import matplotlib as mpl
import seaborn as sns
from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from labkit.course.figures.chinese import (
    PREFERRED,
    balanced,
    chinese_font,
    explain_missing_font,
    in_figures,
    speaks_chinese,
    translate,
    wrapped,
)

P = ParamSpec("P")

WIDTH = 8.4  # inches; at 96 screen pixels an inch, the column of a notebook
TITLE_CHARACTERS, TITLE_LINE = 80, 0.2  # that fit into the width; inches of one line
SCREEN_DPI, FILE_DPI = 96, 192

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, GREY, INK = "#56B4E9", "#CC79A7", "#7F7F7F", "#222222"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DIVERGING = LinearSegmentedColormap.from_list(
    "vermillion-white-blue",
    [VERMILLION, "#FFFFFF", BLUE],
    N=257,  # odd: the middle is white
)

# DejaVu comes with matplotlib, so Latin text looks alike everywhere; one of the others, where it is
# installed, fills in the Chinese characters that DejaVu lacks.
INSTALLED_FONTS = frozenset(font_manager.get_font_names())

STYLE: dict[str, Any] = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans", *(font for font in PREFERRED if font in INSTALLED_FONTS)],
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10.5,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=PALETTE),
    "axes.unicode_minus": False,  # Chinese fonts often lack the typographic minus
    "text.parse_math": False,  # a review may contain dollar signs
    "figure.figsize": (WIDTH, 4.0),
    "figure.dpi": SCREEN_DPI,
    "savefig.dpi": FILE_DPI,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.08,
}


BELOW = "outside lower center"
"""Where a legend covers no data."""


class CourseFigure(Figure):
    """A figure of the course's width with its finding as title, above everything else."""

    def __init__(self, height: float, title: str) -> None:
        """A figure of `height` inches; every further line of a long title adds to them."""
        self._finding = in_figures(title)
        split = wrapped if speaks_chinese() else textwrap.wrap
        lines = balanced(self._finding, TITLE_CHARACTERS, split)
        super().__init__(figsize=(WIDTH, height + TITLE_LINE * (len(lines) - 1)))
        self.suptitle("\n".join(lines), x=0.01, ha="left")

    @property
    def alt(self) -> str:
        """The title, for those who can't see the picture."""
        return " ".join(self._finding.split())

    def png(self, dpi: int = FILE_DPI, colours: int = 256) -> bytes:
        """The figure as a PNG file without date, path or version in it.

        In as many ``colours``, up to 256: no eye tells so many from all of them, and a notebook is
        a third of what it would be.
        """
        drawn, small = io.BytesIO(), io.BytesIO()
        with in_style():
            self.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
        picture = Image.open(drawn).convert("RGB")
        picture = picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        picture.save(small, "PNG", optimize=True, dpi=(dpi, dpi))
        return small.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """What a notebook shows; the title is the text for those who can't see the picture."""
        explain_missing_font()
        width, height = (round(inches * SCREEN_DPI) for inches in self.get_size_inches())
        image = base64.b64encode(self.png()).decode("ascii")
        shown = {"width": width, "height": height, "alt": self.alt}
        return {"image/png": image, "text/plain": repr(self)}, {"image/png": shown}


def shortened(text: str, characters: int) -> str:
    """The text in one line of at most so many characters; also where it has no spaces to cut at."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


@contextmanager
def in_style() -> Iterator[None]:
    """The course's settings for a while; those of the notebook come back afterwards."""
    with mpl.rc_context(_style()), warnings.catch_warnings():
        # A character that no installed font has shows as a box; that says it, in its place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def use_style() -> None:
    """Let a notebook's own matplotlib figures look like those of the course."""
    mpl.rcParams.update(_style())


def _style() -> dict[str, Any]:
    """The settings, with the font of a reader's Chinese next to the Latin one."""
    if not speaks_chinese():
        return STYLE
    latin, *others = STYLE["font.family"]
    return STYLE | {"font.family": [latin, chinese_font(), *others]}


def styled(draw: Callable[P, CourseFigure]) -> Callable[P, CourseFigure]:
    """Draw in the course's style whatever the notebook has set, and leave its settings alone.

    The figure is laid out once, here: laying it out at every showing would move things by fractions
    of a pixel each time, and no two PNGs of one figure would be equal.
    """

    @functools.wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> CourseFigure:
        with in_style():
            figure = draw(*args, **kwargs)
            translate(figure)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            return figure

    return draw_in_style
