"""How one review travels: text, pieces, ids, vectors, frozen language model, scores; drawn.

The figure is a diagram in inches: one stage per row, one column per token, coloured by what the
token is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from labkit.course.figures.chinese import CODE_FONT
from labkit.course.figures.style import (
    BLUE,
    DIVERGING,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SKY,
    STYLE,
    WIDTH,
    CourseFigure,
    shortened,
    styled,
)

Kind = Literal["word", "soft", "special", "mask"]
Piece = tuple[str, int | None, Kind]

KINDS: dict[Kind, tuple[str, str]] = {  # kind -> colour, name in the legend
    "soft": (ORANGE, "virtual token (trained)"),
    "word": (SKY, "piece of text or template"),
    "special": ("#AAAAAA", "special token"),
    "mask": (GREEN, "answer slot"),
}

LEFT, RIGHT = 1.15, WIDTH - 0.1  # inches: where the tokens' columns begin and end
HEIGHT_OF_LABEL = 0.28  # inches: one bar of the scores
GAP = 0.06  # inches between two columns, at least
CODE = {"family": [CODE_FONT, *STYLE["font.family"][1:]], "size": 8.5}
CHARACTER = 0.0712  # inches: the width of one character of CODE
LONGEST_LABEL = 14  # characters
NO_ID = "–"
DRAWN = 24  # of the dimensions of a vector


@dataclass(frozen=True)
class Token:
    """What a column shows; `row` is its place in the prompt, None for the dots of a shortening."""

    label: str
    number: str
    kind: Kind
    row: int | None

    @property
    def width(self) -> float:
        """Inches that its piece and its id need."""
        return 0.14 + CHARACTER * max(3, len(self.label), len(self.number))


class Column(NamedTuple):
    """A token and its left edge, in inches."""

    token: Token
    x: float

    @property
    def middle(self) -> float:
        return self.x + self.token.width / 2


class Row(NamedTuple):
    """The lower and upper edge of a stage, in inches."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@styled
def data_flow(
    text: str,
    pieces: Sequence[Piece],
    vectors: ArrayLike,
    scores: Mapping[str, float],
    title: str,
) -> CourseFigure:
    """How one review travels from text to scores, one row per stage.

    Args:
        text: the review as it was typed.
        pieces: T triples (piece, id, kind); a virtual token has no id, None.
        vectors: (T, D), what the model is fed; a row of NaN where it is fed nothing (the answer
            slot of a causal model, which comes after the last piece).
        scores: label -> probability, 0 to 1.

    What does not fit into the width is shortened to "…", the longest run of one kind first.
    """
    vectors = np.asarray(vectors, dtype=float)  # (T, D)
    fed = np.isfinite(vectors).all(axis=1)  # (T,)
    columns = _columns(pieces)
    fig, ax, rows = _canvas(title, HEIGHT_OF_LABEL * len(scores))

    sizes = {
        "text": "1 string",
        "pieces": f"{len(pieces)} places",
        "ids": f"{sum(number is not None for _, number, _ in pieces)} integers",
        "vectors": f"({fed.sum()}, {vectors.shape[1]})",
        "model": "not trained",
        "scores": f"{len(scores)} probabilities",
    }
    for stage, size in sizes.items():
        _name_stage(ax, rows[stage], stage, size)
    _draw_text(ax, rows["text"], text)
    for column in columns:
        _draw_piece(ax, rows["pieces"], column)
        _draw_id(ax, rows["ids"], column)
    scale = _draw_vectors(ax, rows["vectors"], columns, vectors[:, :DRAWN], fed)
    _draw_arrows(ax, rows, columns, fed)
    slot = _draw_model(ax, rows["model"], columns)
    _draw_scores(ax, rows["scores"], scores, slot, rows["model"].low)
    _draw_legend(fig, ax, rows["legend"], pieces, scale, f"first {DRAWN} of {vectors.shape[1]}")
    return fig


# ---------------------------------------------------------------- where things stand


def _columns(pieces: Sequence[Piece]) -> list[Column]:
    tokens = _fit_to_width(
        Token(visible(piece), NO_ID if number is None else str(number), kind, row)
        for row, (piece, number, kind) in enumerate(pieces)
    )
    free = RIGHT - LEFT - sum(token.width for token in tokens)
    gap = min(0.3, max(GAP, free / max(1, len(tokens) - 1)))
    edges = np.cumsum([LEFT, *(token.width + gap for token in tokens)])
    return [Column(token, float(x)) for token, x in zip(tokens, edges, strict=False)]


def visible(piece: str) -> str:
    """The piece with its space shown: to a tokenizer " good" and "good" are two pieces."""
    label = piece.replace(" ", "␣").replace("Ġ", "␣").replace("▁", "␣").replace("\n", "↵")
    return shortened(label, LONGEST_LABEL)


def _fit_to_width(tokens: Iterable[Token]) -> list[Token]:
    runs = [list(run) for _, run in groupby(tokens, key=lambda token: token.kind)]
    kept = [len(run) for run in runs]
    while _width(_shortened(runs, kept)) > RIGHT - LEFT and max(kept) > 2:
        kept[kept.index(max(kept))] -= 1
    return _shortened(runs, kept)


def _shortened(runs: list[list[Token]], kept: list[int]) -> list[Token]:
    shown: list[Token] = []
    for run, count in zip(runs, kept, strict=True):
        if count == len(run):
            shown += run
        else:
            dots = Token("…", "…", run[0].kind, None)
            shown += [*run[: (count + 1) // 2], dots, *run[len(run) - count // 2 :]]
    return shown


def _width(tokens: list[Token]) -> float:
    return sum(token.width + GAP for token in tokens) - GAP


def _canvas(title: str, scores_height: float) -> tuple[CourseFigure, Axes, dict[str, Row]]:
    """A page in inches, and the rows on it from top to bottom."""
    stages = {  # stage -> its height, the space above it
        "text": (0.4, 0.5),
        "pieces": (0.32, 0.26),
        "ids": (0.2, 0.24),
        "vectors": (1.1, 0.24),
        "model": (0.44, 0.26),
        "scores": (scores_height, 0.3),
        "legend": (0.16, 0.36),
    }
    below_title = sum(map(sum, stages.values())) + 0.42
    fig = CourseFigure(below_title, title)
    fig.set_layout_engine("none")  # everything stands where the inches say
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, fig.get_figheight()), autoscale_on=False)
    ax.axis("off")
    rows, y = {}, below_title
    for stage, (tall, above) in stages.items():
        y -= above + tall
        rows[stage] = Row(y, y + tall)
    return fig, ax, rows


# ---------------------------------------------------------------- the stages


def _name_stage(ax: Axes, row: Row, stage: str, size: str) -> None:
    ax.text(0.1, row.middle, stage, weight="bold", va="bottom")
    ax.text(0.1, row.middle - 0.02, size, size=8, color=GREY, va="top")


def _box(ax: Axes, x: float, row: Row, width: float, colour: str, alpha: float = 0.45) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x + 0.03, row.low + 0.03),
            width - 0.06,
            row.high - row.low - 0.06,
            boxstyle="round,pad=0.03",
            facecolor=to_rgba(colour, alpha),
            edgecolor=colour,
            linewidth=1,
        )
    )


def _draw_text(ax: Axes, row: Row, text: str) -> None:
    _box(ax, LEFT, row, RIGHT - LEFT, "#BBBBBB", alpha=0.15)
    ax.text(LEFT + 0.12, row.middle, f"“{shortened(text, 88)}”", va="center", style="italic")


def _draw_piece(ax: Axes, row: Row, column: Column) -> None:
    token = column.token
    if token.row is not None:
        _box(ax, column.x, row, token.width, KINDS[token.kind][0])
    ax.text(column.middle, row.middle, token.label, ha="center", va="center", **CODE)


def _draw_id(ax: Axes, row: Row, column: Column) -> None:
    colour = GREY if column.token.kind == "soft" else INK
    style = {"ha": "center", "va": "center", "color": colour, **CODE}
    ax.text(column.middle, row.middle, column.token.number, **style)


def _draw_vectors(
    ax: Axes, row: Row, columns: list[Column], vectors: NDArray, fed: NDArray
) -> float:
    """Each token's vector as a strip of colours; returns the value that has the full colour."""
    scale = float(np.nanquantile(np.abs(vectors), 0.99))
    for token, x in columns:
        if token.row is None:
            ax.text(x + token.width / 2, row.middle, "…", ha="center", va="center", **CODE)
            continue
        extent = (x, x + token.width, row.low, row.high)
        if fed[token.row]:
            strip = vectors[token.row][:, None]  # (dims, 1)
            ax.imshow(strip, DIVERGING, aspect="auto", extent=extent, vmin=-scale, vmax=scale)
        edge, style = (KINDS[token.kind][0], "-") if fed[token.row] else (GREY, ":")
        frame = Rectangle((x, row.low), token.width, row.high - row.low, fill=False)
        frame.set(edgecolor=edge, linestyle=style, linewidth=1.5)
        ax.add_patch(frame)
    return scale


def _draw_arrows(ax: Axes, rows: dict[str, Row], columns: list[Column], fed: NDArray) -> None:
    """The way of each token; a virtual token has no id, it enters at the vectors."""
    for column in columns:
        token = column.token
        if token.row is None:
            continue
        if token.number != NO_ID:
            _arrow(ax, column.middle, rows["pieces"].low, rows["ids"].high)
            _arrow(ax, column.middle, rows["ids"].low, rows["vectors"].high)
        if fed[token.row]:
            _arrow(ax, column.middle, rows["vectors"].low, rows["model"].high)


def _arrow(ax: Axes, x: float, start: float, end: float) -> None:
    ax.annotate(
        "",
        xy=(x, end + 0.02),
        xytext=(x, start - 0.02),
        arrowprops={
            "arrowstyle": "-|>",
            "color": GREY,
            "linewidth": 0.9,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _draw_model(ax: Axes, row: Row, columns: list[Column]) -> float:
    """The model's box; returns where the answer is read: at the slot, else over all tokens."""
    _box(ax, LEFT, row, RIGHT - LEFT, BLUE, alpha=0.12)
    middle = (LEFT + RIGHT) / 2
    ax.text(middle, row.middle, "frozen language model", ha="center", va="center", weight="bold")
    return next((column.middle for column in columns if column.token.kind == "mask"), middle)


def _draw_scores(
    ax: Axes, row: Row, scores: Mapping[str, float], slot: float, model_low: float
) -> None:
    """Bars of the labels' probabilities under the answer slot, the predicted label in colour."""
    name_width, bar_width, value_width = 1.3, 1.6, 0.5
    total = name_width + bar_width + value_width
    x = min(max(LEFT, slot - total / 2), RIGHT - total) + name_width
    _arrow(ax, slot, model_low, row.high)
    best = max(scores, key=scores.__getitem__)
    for i, (label, score) in enumerate(scores.items()):
        y = row.high - (i + 0.5) * HEIGHT_OF_LABEL
        weight = "bold" if label == best else "normal"
        colour = GREEN if label == best else "#BBBBBB"
        ax.text(x - 0.08, y, label, ha="right", va="center", weight=weight)
        ax.add_patch(Rectangle((x, y - 0.08), bar_width, 0.16, facecolor="#F0F0F0"))
        ax.add_patch(Rectangle((x, y - 0.08), bar_width * score, 0.16, facecolor=colour))
        ax.text(x + bar_width + 0.08, y, f"{score:.2f}", va="center", weight=weight)


def _draw_legend(
    fig: CourseFigure, ax: Axes, row: Row, pieces: Sequence[Piece], scale: float, drawn: str
) -> None:
    present = {kind for _, _, kind in pieces}
    handles = [
        Patch(facecolor=to_rgba(colour, 0.45), edgecolor=colour, label=name)
        for kind, (colour, name) in KINDS.items()
        if kind in present
    ]
    height = fig.get_figheight()
    ax.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(0.1 / WIDTH, row.middle / height),
        ncols=2,
        borderpad=0,
        columnspacing=1.2,
    )
    bar = fig.add_axes(
        (5.5 / WIDTH, row.middle / height, (RIGHT - 0.2 - 5.5) / WIDTH, 0.1 / height)
    )
    colours = ScalarMappable(Normalize(-scale, scale), DIVERGING)
    fig.colorbar(colours, cax=bar, orientation="horizontal", ticks=[-scale, 0, scale])
    bar.set_xticklabels([f"{-scale:.2g}", "0", f"{scale:.2g}"], size=7.5)
    bar.set_xlabel(f"value of a dimension ({drawn} drawn)", size=7.5, labelpad=1)
