"""The figures of notebook 01 show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from drawn import score_grid, words_of
from labkit.core.statistics import accuracy_interval
from labkit.course.figures import (
    hard_prompt,
)
from labkit.course.figures.style import CourseFigure


def frames(figure: CourseFigure) -> set[tuple[int, int]]:
    """(row, column) of the cells in a dashed frame."""
    return {
        (int(patch.get_y()), int(patch.get_x()))
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and not patch.get_fill()
    }


def test_score_grid_marks_exactly_the_cells_that_may_be_no_better_than_the_majority():
    figure = score_grid([[0.46, 0.74], [0.60, 0.54], [0.30, 0.56]], half=0.05)
    assert frames(figure) == {(0, 0), (1, 1)}
    assert "interval contains the majority class (0.50)" in words_of(figure)
    assert {"0.74\n±0.05", "0.30\n±0.05"} <= set(words_of(figure))


def test_score_grid_is_white_at_the_majority_blue_above_and_vermillion_below():
    figure = score_grid([[0.5, 0.74, 0.30]])
    figure.png()
    white, above, below = figure.axes[0].collections[0].get_facecolors()
    assert to_hex(white) == "#ffffff"
    assert above[2] > above[0]
    assert below[0] > below[2]


def test_score_grid_leaves_a_cell_that_was_not_scored_empty():
    figure = score_grid([[0.6, np.nan], [0.7, 0.5]])
    figure.png()
    assert not [text for text in words_of(figure) if "nan" in text]


def test_score_grid_of_one_constant_value_still_draws():
    score_grid([[0.5, 0.5]]).png()


def test_calibration_shift_shows_the_shares_predicted_and_all_margins():
    before = np.array([[0.0, -1.0]] * 9 + [[-1.0, 0.0]])
    after = np.array([[0.0, -1.0]] * 5 + [[-1.0, 0.0]] * 5)
    figure = hard_prompt.calibration_shift(
        before, after, ["negative", "positive"], "The bias is gone"
    )
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == pytest.approx([0.9, 0.1, 0.5, 0.5])
    ends = [tuple(s[:, 1]) for bars in left.collections for s in bars.get_segments()]
    expected = [accuracy_interval((k, 10)) for k in (9, 1, 5, 5)]
    assert np.array(ends) == pytest.approx(np.array(expected))
    assert {tuple(line.get_xdata()) for line in right.lines} == {(0, 0)}


def test_calibration_shift_of_three_classes_takes_the_best_minus_the_second_best():
    scores = np.array([[0.0, -1.0, -3.0], [-5.0, 0.0, -2.0]])
    figure = hard_prompt.calibration_shift(scores, scores, ["a", "b", "c"], "Nothing moves")
    right = figure.axes[1]
    assert right.get_xlabel() == "margin: best - second best (nats)"
    assert right.get_xlim()[0] > 0.5  # the margins are 1 and 2; there is no boundary at 0
