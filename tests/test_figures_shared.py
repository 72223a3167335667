"""Intervals, losses, matrices and answers: the figures of several notebooks."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from drawn import LOSSES, RUN, words_of
from labkit.core.errors import LabError
from labkit.core.statistics import accuracy_interval
from labkit.course.figures import (
    shared,
)
from labkit.course.figures.shared import review_figure


def test_interval_bars_draws_each_value_between_its_ends():
    rows = [("soft", 0.85, 0.82, 0.87), ("hard", 0.74, 0.70, 0.79), ("random", 0.5, 0.4, 0.6)]
    names, values, lows, highs = zip(*rows, strict=True)
    figure = shared.interval_bars(
        names, values, lows, highs, 0.5, "majority", title="t", xlabel="x"
    )
    (ax,) = figure.axes
    drawn = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in ax.lines}
    for y, (_, value, low, high) in enumerate(rows):
        assert ((low, high), (y, y)) in drawn
        assert ((value,), (y,)) in drawn
    assert [label.get_text() for label in ax.get_yticklabels()] == list(names)
    assert ax.yaxis_inverted()  # the first on top
    assert ((0.5, 0.5), (0, 1)) in drawn
    assert "majority 0.50" in words_of(figure)


def test_interval_bars_refuses_a_value_without_an_interval():
    with pytest.raises(ValueError, match="shorter"):
        shared.interval_bars(["a", "b"], [1, 2], [0], [2, 3], title="t", xlabel="x")


def test_loss_curves_smooth_over_the_last_tenth_and_keep_the_raw_loss():
    figure = shared.loss_curves({"run": RUN}, "It learns")
    raw, smooth, end = figure.axes[0].lines
    assert raw.get_ydata() == pytest.approx(LOSSES)
    by_hand = [np.mean(LOSSES[max(0, i - 9) : i + 1]) for i in range(100)]
    assert smooth.get_ydata() == pytest.approx(by_hand)
    assert end.get_xydata() == pytest.approx(np.array([[100, by_hand[-1]]]))


def test_loss_curves_draw_the_interval_of_each_validation_accuracy():
    figure = shared.loss_curves({"run": RUN}, "It learns", validation_size=50)
    (bars,) = figure.axes[1].collections
    for segment, k in zip(bars.get_segments(), (30, 40), strict=True):
        assert tuple(segment[:, 1]) == pytest.approx(accuracy_interval((k, 50)))
    assert not shared.loss_curves({"run": RUN}, "It learns").axes[1].collections


def test_loss_curves_of_the_very_first_step_say_that_nothing_was_validated():
    figure = shared.loss_curves({"run": ([1], [0.7], [], [])}, "It starts")
    figure.png()
    assert "not measured" in words_of(figure)
    assert "not measured" not in words_of(shared.loss_curves({"run": RUN}, "It learns"))


def test_heatmaps_share_one_scale_and_frame_what_is_marked():
    small, large = np.eye(3) * 0.2, np.full((3, 3), 0.8)
    fig = shared.heatmaps(
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
    fig = shared.heatmaps({"m": [[-1.0, 0.5]]}, "t", xlabel="x", ylabel="y", value="difference")
    mesh = fig.axes[0].collections[0]
    assert mesh.get_clim() == (-1.0, 1.0)
    assert mesh.to_rgba(0.0)[:3] == pytest.approx((1.0, 1.0, 1.0), abs=0.01)


def score(text: str) -> dict[str, dict[str, float]]:
    if not text.strip():
        raise LabError("the review is empty: type a sentence")
    good = 0.9 if "good" in text else 0.2
    return {
        "hard": {"negative": 0.6, "positive": 0.4},
        "soft": {"negative": 1 - good, "positive": good},
    }


def test_review_figure_shows_each_probability_and_who_wins():
    results = score("a good film")
    figure = review_figure(results, "a good film")
    for ax, scores in zip(figure.axes, results.values(), strict=True):
        assert [bar.get_width() for bar in ax.patches] == pytest.approx(list(scores.values()))
        assert ax.get_xlabel() == "probability"
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["negative", "positive"]
    assert figure.get_suptitle() == "The prompts disagree: “a good film”"
    assert review_figure(score("a bad film")).get_suptitle() == "All prompts answer negative"


def test_review_figure_of_four_prompts_keeps_an_axis_under_each():
    figure = review_figure({str(i): {"no": 0.1, "yes": 0.9} for i in range(4)})
    assert len([ax for ax in figure.axes if ax.get_visible()]) == 4
    assert all(ax.xaxis.get_ticklabels()[0].get_visible() for ax in figure.axes[:4])


@pytest.mark.parametrize("text", ["word " * 100, "一部好电影" * 60, "x" * 500])
def test_review_figure_quotes_the_beginning_of_a_long_review(text):
    title = review_figure(score(text), text).get_suptitle()
    assert text[:4] in title
    assert "…" in title
    assert title.count("\n") <= 1


def test_panels_may_have_a_scale_each_and_a_missing_value_stays_empty():
    panels = {"signed": [[-1.0, 0.5]], "positive": [[0.2, 0.6]]}
    fig = shared.heatmaps(panels, "t", xlabel="x", ylabel="y", value="v", one_scale=False)
    assert [ax.collections[0].get_clim() for ax in fig.axes[:2]] == [(-1.0, 1.0), (0.2, 0.6)]
    fig = shared.heatmaps({"m": [[np.nan, 0.5]]}, "t", xlabel="x", ylabel="y", value="v")
    mesh = fig.axes[0].collections[0]
    assert mesh.get_clim() == (0.0, 0.5)
    assert np.ma.is_masked(np.ma.asarray(mesh.get_array()).ravel()[0])


def test_the_line_through_validation_scores_stands_where_they_were_measured():
    curves = {"a": RUN, "b": RUN}
    right = shared.loss_curves(curves, "t", validation_size=50).axes[1]
    joined = [line.get_xdata().tolist() for line in right.lines if line.get_linestyle() == "-"]
    assert joined == [[50, 100], [50, 100]]


def test_order_agreement_draws_every_run_and_the_median():
    figure = shared.order_agreement({"sorter": [0.9, 0.1, 0.8], "random": [0.0]}, "t")
    (ax,) = figure.axes
    dots = [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"]
    assert dots == [[0.9, 0.1, 0.8], [0.0]]
    assert ((0.8, 0.8), (-0.3, 0.3)) in {
        (tuple(line.get_xdata()), tuple(line.get_ydata())) for line in ax.lines
    }
    assert "0.80" in words_of(figure)
