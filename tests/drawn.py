"""Reading pictures back: the words and bars of a figure or an SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np

from labkit.course.figures import hard_prompt
from labkit.course.figures.style import CourseFigure

SVG = "{http://www.w3.org/2000/svg}"


def words_of(figure: CourseFigure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def texts(drawing) -> list[str]:
    return [element.text for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def bars(drawing, colour: str) -> list[float]:
    """Heights of the boxes of a colour, the legend's left out."""
    boxes = [b for b in ElementTree.fromstring(drawing.svg).iter(f"{SVG}rect") if b.get("x")]
    kept = [b for b in boxes if (b.get("width"), b.get("height")) != ("12.0", "12.0")]
    return [float(b.get("height")) for b in kept if b.get("fill") == colour]


# ---------------------------------------------------------------- examples to draw

RNG = np.random.default_rng(0)

STEPS = list(range(1, 101))

LOSSES = (1.0 + RNG.normal(0, 0.1, 100)).tolist()

RUN = (STEPS, LOSSES, [50, 100], [0.6, 0.8])

SCORES = RNG.normal(-2, 1, (200, 2))

WORDS = [("a", 81, "word"), (" fine", 2000, "word"), (" film", 2001, "word"), ("?", None, "mask")]

VECTORS = np.vstack([RNG.normal(0, 0.1, (3, 64)), np.full((1, 64), np.nan)])


def score_grid(values: list[list[float]], half: float = 0.05, **changes) -> CourseFigure:
    array = np.array(values)
    rows = [f"{{text}} template {r} {{mask}}" for r in range(len(array))]
    columns = [f"bad{c} / good{c}" for c in range(array.shape[1])]
    return hard_prompt.score_grid(
        array, array - half, array + half, rows, columns, 0.5, "Wording counts"
    )


ORDER_SCORES = {
    "causal": (RNG.normal(0.6, 0.03, 50), 0.84, (0.79, 0.88), 0.5),
    "encoder": (RNG.normal(0.77, 0.01, 50), 0.78, (0.73, 0.83), 0.5),
}

ORDER_ROWS = [
    {
        **{"setting": "single", "scores": [0.6, 0.7, 0.8], "baseline": 0.75, "ci95": [0.7, 0.8]},
        **{"worse": 2, "better": 1, "equal": 0},
    },
    {
        **{"setting": "blocks", "scores": [0.75, 0.75], "baseline": 0.75, "ci95": [0.7, 0.8]},
        **{"worse": 0, "better": 0, "equal": 2},
    },
]
CHANGES = RNG.normal(0, 0.02, (5, 5))
CURSE = {"noise": ([0.0, 0.02, 0.05], [0.0, 0.0, 0.0])}
