"""The figures of notebooks 05 and 06 show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from labkit.course.figures import order_plots


def test_heatmaps_share_one_scale_and_frame_what_is_marked():
    small, large = np.eye(3) * 0.2, np.full((3, 3), 0.8)
    fig = order_plots.heatmaps(
        {"small": small, "large": large},
        "t",
        xlabel="x",
        ylabel="y",
        value="probability",
        marked={"small": [2, 0, 1]},
        mark="chosen",
    )
    first, second = fig.axes[:2]
    for ax, values in ((first, small), (second, large)):
        np.testing.assert_allclose(ax.collections[0].get_array().reshape(3, 3), values)
        assert ax.collections[0].get_clim() == (0.0, 0.8)
    frames = {p.get_xy() for p in first.patches if isinstance(p, Rectangle)}
    assert frames == {(2, 0), (0, 1), (1, 2)} and not second.patches


def test_heatmaps_with_negative_values_are_white_at_zero():
    fig = order_plots.heatmaps(
        {"m": [[-1.0, 0.5]]}, "t", xlabel="x", ylabel="y", value="difference"
    )
    mesh = fig.axes[0].collections[0]
    assert mesh.get_clim() == (-1.0, 1.0)
    assert mesh.to_rgba(0.0)[:3] == pytest.approx((1.0, 1.0, 1.0), abs=0.01)


def test_grouped_scores_draw_the_mean_and_every_seed():
    scores = {"a": {"place": [0.2, 0.4], "left": [1.0, 1.0]}, "b": {"place": [0.5], "left": [0.1]}}
    ax = order_plots.grouped_scores(scores, "t", xlabel="share", chance=0.25).axes[0]
    widths = sorted(bar.get_width() for bar in ax.patches)
    assert widths == pytest.approx([0.1, 0.3, 0.5, 1.0])
    dots = sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata())
    assert dots == pytest.approx([0.1, 0.2, 0.4, 0.5, 1.0, 1.0])
    assert "chance 0.25" in {text.get_text() for text in ax.texts}


def test_curves_start_at_step_one_and_height_zero():
    ax = order_plots.curves({"a": [3.0, 2.0], "b": [1.0]}, "t", xlabel="x", ylabel="y").axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1]]
    assert ax.get_ylim()[0] == 0


def test_search_curves_hold_the_best_loss_to_the_end_of_the_budget():
    histories = {"swap": [[(10, 0.9), (30, 0.5)], [(10, 0.8)]], "random": [[(20, 0.7)]]}
    ax = order_plots.search_curves(histories, "t", budget=100, ylabel="loss", given=0.95).axes[0]
    runs = [line for line in ax.lines if len(line.get_xdata()) and line.get_linestyle() != "--"]
    assert [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in runs] == [
        (100, 0.5),
        (100, 0.8),
        (100, 0.7),
    ]
    assert runs[0].get_color() == runs[1].get_color() != runs[2].get_color()
