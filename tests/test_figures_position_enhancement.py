"""The figures of notebook 05 show the numbers they were given."""

from __future__ import annotations

import pytest

from labkit.course.figures import (
    position_enhancement,
)


def test_grouped_scores_draw_the_mean_and_every_seed():
    scores = {"a": {"place": [0.2, 0.4], "left": [1.0, 1.0]}, "b": {"place": [0.5], "left": [0.1]}}
    ax = position_enhancement.grouped_scores(scores, "t", xlabel="share", chance=0.25).axes[0]
    widths = sorted(bar.get_width() for bar in ax.patches)
    assert widths == pytest.approx([0.1, 0.3, 0.5, 1.0])
    dots = sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata())
    assert dots == pytest.approx([0.1, 0.2, 0.4, 0.5, 1.0, 1.0])
    assert "chance 0.25" in {text.get_text() for text in ax.texts}
