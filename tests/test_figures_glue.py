"""The figures of notebook 07 show the numbers they were given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drawn import texts
from labkit.audit.recompute import recompute
from labkit.core.statistics import Difference
from labkit.course.figures import (
    glue,
)
from labkit.course.figures.glue import recomputed_table


def test_gains_stand_beside_the_papers_and_a_missing_interval_is_left_out():
    ours = {
        "sorter": {
            "rte": Difference(0.01, -0.02, 0.04),
            "stsb": Difference(0.1, math.nan, math.nan),
        },
        "swaps": {"rte": Difference(-0.03, -0.05, -0.01)},
    }
    fig = glue.gains_by_task(
        ours, {"sorter": {"rte": 0.043}}, "t", xlabel="difference", marked=["stsb"]
    )
    first, second = fig.axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["rte", "stsb*"]
    dots = [line.get_xdata()[0] for line in first.lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.01, 0.1])
    assert [line.get_xdata()[0] for line in first.lines if line.get_marker() == "D"] == [0.043]
    spans = [tuple(line.get_xdata()) for line in second.lines if len(line.get_xdata()) == 2]
    assert (-0.05, -0.01) in spans
    assert not [line for line in second.lines if line.get_marker() == "D"]
    assert {text.get_text() for text in fig.legends[0].get_texts()} == {
        "here, 95 % interval",
        "printed, T5-base",
    }


def test_readings_are_drawn_against_ratings():
    fig = glue.read_against_rated(
        {"before": ([0.0, 1.0], [2.0, 3.0]), "after": ([2.0], [2.0])}, "t", label="valence"
    )
    points = fig.axes[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [2.0, 3.0])
    np.testing.assert_allclose(points.get_ydata(), [0.0, 1.0])
    assert fig.axes[1].get_title() == "after"


def test_a_recomputed_table_shows_every_cell_and_marks_those_that_cannot_be():
    rows = recompute(8, {"rte": 277})
    title, *words = texts(recomputed_table(rows, "Table 8"))
    impossible = sum(row["rte"].right is not None for row in rows)
    assert title == (
        f"Table 8: 2 of 4 sums and means come out, {4 - impossible} of 4 scores are some k of n"
    )
    assert {"rte", "mean", "84.6", "→ 83.2", "Ours+positions"} <= set(words)
    assert sum(word.startswith("→ ") and len(word) < 8 for word in words) == impossible + 2
