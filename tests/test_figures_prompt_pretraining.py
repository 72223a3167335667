"""The figures of notebook 09 show the numbers they were given."""

from __future__ import annotations

import numpy as np

from labkit.course.figures import prompt_pretraining


def test_few_shot_curves_show_every_draw_and_their_mean():
    scores = {"prompt": {8: [0.5, 0.7], 32: [0.8, 0.9]}, "fine-tuning": {8: [0.6], 32: [0.7]}}
    levels = {"majority class": 0.5, "no prompt": 0.65}
    figure = prompt_pretraining.few_shot_curves(
        scores, "Title", ylabel="accuracy", untrained=levels
    )
    ax = figure.axes[0]
    drawn = {line.get_label(): line.get_ydata()[0] for line in ax.lines}
    assert levels.items() <= drawn.items()
    means = {line.get_label(): list(line.get_ydata()) for line in ax.lines if line.get_lw() == 1.8}
    np.testing.assert_allclose(means["prompt"], [0.6, 0.85])
    dots = [y for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert sorted(dots) == [0.5, 0.6, 0.7, 0.7, 0.8, 0.9]
