"""The flow of one review shows the pieces, ids and vectors it was given."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch

from drawn import RNG, VECTORS, WORDS, words_of
from labkit.course.figures.data_flow import data_flow
from labkit.course.figures.style import CourseFigure


def flow(pieces, vectors, text="a fine film") -> CourseFigure:
    return data_flow(text, pieces, vectors, {"negative": 0.3, "positive": 0.7}, "Positive")


def places(figure: CourseFigure) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts}


def test_data_flow_puts_each_id_under_its_piece():
    at = places(flow(WORDS, VECTORS))
    for piece, number in (("a", "81"), ("␣fine", "2000"), ("␣film", "2001")):
        assert at[piece][0] == at[number][0]
        assert at[piece][1] > at[number][1]
    assert {"3 integers", "(3, 64)", "0.70", "0.30"} <= set(at)


def test_data_flow_draws_the_vectors_it_is_given():
    figure = flow(WORDS, VECTORS)
    strips = [image.get_array().ravel() for image in figure.axes[0].images]
    assert len(strips) == 3  # the answer slot of a causal model is fed nothing
    for strip, vector in zip(strips, VECTORS, strict=False):
        assert np.asarray(strip) == pytest.approx(vector[:24])


def test_data_flow_shortens_twenty_virtual_tokens_and_a_long_review_to_the_width():
    soft = [(f"v{i}", None, "soft") for i in range(1, 21)]
    words = [(f" word{i}", 1000 + i, "word") for i in range(40)]
    pieces = [*soft, *words, ("?", None, "mask")]
    vectors = RNG.normal(size=(61, 64))
    figure = flow(pieces, vectors, text="word " * 40)
    at = places(figure)
    assert {"v1", "v20", "␣word0", "␣word39", "?", "…"} <= set(at)
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert max(box.get_extents().x1 for box in boxes) <= figure.bbox.x1
    assert {"61 places", "40 integers", "(61, 64)"} <= set(at)
    # The strip under v20 is row 19 of the matrix, not the sixth one drawn.
    x = at["v20"][0]
    (strip,) = (i for i in figure.axes[0].images if i.get_extent()[0] < x < i.get_extent()[1])
    assert np.asarray(strip.get_array()).ravel() == pytest.approx(vectors[19, :24])


def test_data_flow_tells_the_kinds_apart_and_names_only_those_present():
    assert "virtual token (trained)" not in words_of(flow(WORDS, VECTORS))
    pieces = [("v1", None, "soft"), *WORDS[1:]]
    assert "virtual token (trained)" in words_of(flow(pieces, VECTORS))


@pytest.mark.parametrize("text", ["worth $x_^$, at most", "一部好电影", "a\nb\tc", "{x} %s"])
def test_data_flow_shows_any_text_a_reader_may_type(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow([(text, 1, "word"), *WORDS[1:]], VECTORS, text=text).png()
