"""The figures of notebook 05 show the numbers they were given."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from drawn import SVG, texts
from labkit.course.figures import (
    position_enhancement,
)
from labkit.course.figures.position_enhancement import Answers, who_knows
from labkit.course.figures.style import BLUE


def test_grouped_scores_draw_the_mean_and_every_seed():
    scores = {"a": {"place": [0.2, 0.4], "left": [1.0, 1.0]}, "b": {"place": [0.5], "left": [0.1]}}
    ax = position_enhancement.grouped_scores(scores, "t", xlabel="share", chance=0.25).axes[0]
    widths = sorted(bar.get_width() for bar in ax.patches)
    assert widths == pytest.approx([0.1, 0.3, 0.5, 1.0])
    dots = sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata())
    assert dots == pytest.approx([0.1, 0.2, 0.4, 0.5, 1.0, 1.0])
    assert "chance 0.25" in {text.get_text() for text in ax.texts}


def test_every_answer_stands_under_its_token_and_right_ones_are_filled():
    answers = {
        "none": Answers([2, 1, 0], [0, 0]),  # place 1 is right, and the last one's neighbour
        "both": Answers([0, 1, 2], [1, 0]),
    }
    picture = who_knows([1, 0, 2], answers)
    title, *words = texts(picture)
    assert title == "Places + neighbours right: none 1 + 1, both 3 + 2"
    assert words[:3] == ["1", "0", "2"]
    fields = [b for b in ElementTree.fromstring(picture.svg).iter(f"{SVG}rect") if b.get("x")]
    filled = [b.get("fill") == BLUE for b in fields[3:]]  # the tokens' own fields come first
    assert filled == [False, True, False, False, True, *[True] * 5]
    said = [word for word in words[4:] if word.isdigit()]
    assert said == ["2", "1", "0", "0", "0", "0", "1", "2", "1", "0"]
    columns = [float(b.get("x")) for b in fields]
    assert columns[6:8] == columns[1:3]  # neighbours stand under the second and the third token
