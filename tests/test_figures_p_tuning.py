"""The figures of notebook 03 show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from labkit.course.figures import (
    p_tuning,
)
from labkit.course.figures.style import VERMILLION

HARD, TRAINED = np.array([[0.8, 0.6]]), np.array([[0.9, 0.8], [0.7, 0.8]])
LOSSES = np.ones((2, 2, 12)) * np.arange(12, 0, -1)


def spread_figure():
    return p_tuning.family_spread(
        {"hard": HARD, "trained": TRAINED},
        ["a", "b"],
        LOSSES,
        "t",
        marked="b",
        reference=0.5,
        accuracy="accuracy",
        difference="difference",
    )


def test_each_member_is_a_line_through_its_means_and_each_seed_a_dot():
    left = spread_figure().axes[0]
    joined = {
        to_hex(line.get_color()).upper(): line.get_ydata()
        for line in left.lines
        if line.get_linestyle() == "-"
    }
    assert joined[VERMILLION].tolist() == pytest.approx([0.6, 0.8])
    dots = [y for line in left.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert sorted(dots) == pytest.approx([0.6, 0.7, 0.8, 0.8, 0.8, 0.9])


def test_the_spread_under_each_method_is_the_mean_over_seeds():
    labels = [tick.get_text() for tick in spread_figure().axes[0].get_xticklabels()]
    per_seed = [np.std([0.9, 0.8], ddof=1), np.std([0.7, 0.8], ddof=1)]
    assert labels == [
        f"hard\nspread {np.std([0.8, 0.6], ddof=1):.3f}",
        f"trained\nspread {np.mean(per_seed):.3f}",
    ]


def test_losses_are_means_over_a_window_at_its_last_step():
    thick = max(spread_figure().axes[1].lines, key=lambda line: line.get_linewidth())
    assert thick.get_xdata().tolist() == [10, 11, 12]
    assert thick.get_ydata().tolist() == pytest.approx([7.5, 6.5, 5.5])


def test_a_member_shows_every_seed_and_tells_the_means():
    right = {"hard": [[1, 0, 0, 0]], "free": [[1, 1, 1, 0], [1, 1, 1, 1]]}
    fig = p_tuning.member_figure("a → b", right, {"free": LOSSES[0]}, 0.5)
    assert fig.get_suptitle() == "“a → b”: hard 0.250, free 0.875"
    dots = [float(line.get_xdata()[0]) for line in fig.axes[0].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.25, 0.75, 1.0])


def test_parameters_stand_on_a_logarithmic_axis():
    ax = p_tuning.parameter_bars(["few", "many"], [10, 10_000], [10, 20], "t").axes[0]
    assert ax.get_xscale() == "log"
    assert "10,000" in {label.get_text() for label in ax.get_xticklabels()}
    assert [bar.get_width() for bar in ax.patches] == [10, 10_000]
    assert "10,000" in {text.get_text() for text in ax.texts}
    (kept,) = (line for line in ax.lines if line.get_marker() == "D")
    assert list(kept.get_xdata()) == [10, 20]


def test_a_method_stands_at_its_size_with_every_seed_and_their_mean():
    methods = {"free": (5000, [0.8, 0.9]), "LoRA": (500_000, [0.7])}
    fig = p_tuning.scores_by_size(methods, "t", levels={"hard prompt": 0.75}, ylabel="accuracy")
    lines = fig.axes[0].lines
    dots = {(x, y) for line in lines if line.get_marker() == "o" for x, y in line.get_xydata()}
    assert dots == {(5000, 0.8), (5000, 0.9), (500_000, 0.7)}
    means = [line.get_xydata().tolist()[0] for line in lines if line.get_marker() == "_"]
    assert means == [[5000, pytest.approx(0.85)], [500_000, pytest.approx(0.7)]]
    assert [line.get_ydata()[0] for line in lines if line.get_linestyle() == "--"] == [0.75]
