"""The figures of notebook 06 show the numbers they were given."""

from __future__ import annotations

from labkit.course.figures import (
    lstm_sorter,
)


def test_curves_start_at_step_one_and_height_zero():
    ax = lstm_sorter.curves({"a": [3.0, 2.0], "b": [1.0]}, "t", xlabel="x", ylabel="y").axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1]]
    assert ax.get_ylim()[0] == 0


def test_search_curves_hold_the_best_loss_to_the_end_of_the_budget():
    histories = {"swap": [[(10, 0.9), (30, 0.5)], [(10, 0.8)]], "random": [[(20, 0.7)]]}
    ax = lstm_sorter.search_curves(histories, "t", budget=100, ylabel="loss", given=0.95).axes[0]
    runs = [line for line in ax.lines if len(line.get_xdata()) and line.get_linestyle() != "--"]
    assert [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in runs] == [
        (100, 0.5),
        (100, 0.8),
        (100, 0.7),
    ]
    assert runs[0].get_color() == runs[1].get_color() != runs[2].get_color()
