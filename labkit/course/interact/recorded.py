"""What a page without a kernel can move through: the pictures behind a widget, kept with the first.

While a master is executed, a widget also draws what its other choices would show. They are stored
packed, in the metadata of the output: front ends and comparisons of outputs pass that by, and the
site shows them (``pages/templates/play.js``).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from labkit.course.figures.drawings import Drawing
from labkit.course.figures.style import SCREEN_DPI, CourseFigure

VARIABLE = "LABKIT_RECORD"
"""Set in the environment of the kernel that executes a master."""

MOST_OPTIONS, MOST_PICTURES = 60, 400
MOST_BYTES, COLOURS = 400_000, 128
"""Of packed pictures; a page has two million for everything."""


class Choice(NamedTuple):
    """A control: its name, the options with their names, and the place of the one to begin with."""

    name: str
    options: Sequence[tuple[str, Any]]
    start: int = 0


class Recorded:
    """The first picture of a widget, with those that its other choices give."""

    def __init__(self, choices: Sequence[Choice], draw: Callable[..., Any]) -> None:
        """Draw every combination; if they are too many, those one change away from the first."""
        starts = tuple(choice.start for choice in choices)
        places = list(itertools.product(*(range(len(choice.options)) for choice in choices)))
        if len(places) > MOST_PICTURES:
            places = [place for place in places if _steps(place, starts) <= 1]
        drawn = {
            place: draw(*(c.options[i][1] for c, i in zip(choices, place, strict=True)))
            for place in places
        }
        self.first = drawn[starts]
        self.pictures = _pack(drawn)
        if len(self.pictures) > MOST_BYTES and len(choices) > 1:
            near = {p: picture for p, picture in drawn.items() if _steps(p, starts) <= 1}
            self.pictures = _pack(near)
        self.choices = [
            {"name": c.name, "options": [name for name, _ in c.options], "start": c.start}
            for c in choices
        ]

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = self.first._repr_mimebundle_()
        data, about = bundle if isinstance(bundle, tuple) else (bundle, {})
        return data, about | {"labkit": {"choices": self.choices, "pictures": self.pictures}}


def recording() -> bool:
    return os.environ.get(VARIABLE) == "1"


@contextlib.contextmanager
def record() -> Iterator[None]:
    """Kernels that start meanwhile record."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def thinned(values: Sequence[Any]) -> list[Any]:
    """At most :data:`MOST_OPTIONS` of them, evenly spaced, the first and the last among them."""
    count = min(len(values), MOST_OPTIONS)
    return [values[round(i * (len(values) - 1) / max(1, count - 1))] for i in range(count)]


def unpack(packed: str) -> dict[str, dict[str, str]]:
    """Places of the choices, as ``0,2`` -> ``svg`` or ``png`` and ``alt``."""
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def _steps(place: tuple[int, ...], starts: tuple[int, ...]) -> int:
    """How many choices differ from where they began."""
    return sum(one != other for one, other in zip(place, starts, strict=True))


def _pack(drawn: Mapping[tuple[int, ...], Any]) -> str:
    pictures = {",".join(map(str, place)): _kept(picture) for place, picture in drawn.items()}
    text = json.dumps(pictures, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(text, mtime=0)).decode("ascii")


def _kept(picture: Drawing | CourseFigure) -> dict[str, str]:
    if isinstance(picture, Drawing):
        return {"svg": picture.svg, "alt": picture.alt}
    image = picture.png(SCREEN_DPI, COLOURS)
    return {"png": base64.b64encode(image).decode("ascii"), "alt": picture.alt}
