"""The figures of notebook 04 show every order they were given."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex

from conftest import noisy_probe
from drawn import CURSE, ORDER_ROWS, ORDER_SCORES, SVG, bars, texts, words_of
from labkit.course.figures import (
    shuffle_probe,
)
from labkit.course.figures.shuffle_probe import BINS, PALE, order_map


def test_every_order_is_in_its_panel():
    figure = shuffle_probe.order_histograms(ORDER_SCORES, "Order matters")
    for ax, (values, trained, interval, majority) in zip(
        figure.axes, ORDER_SCORES.values(), strict=True
    ):
        bars = [p for p in ax.patches if p.get_height() and to_hex(p.get_facecolor()) == "#0072b2"]
        assert sum(bar.get_height() for bar in bars) == len(values)
        verticals = {line.get_xdata()[0] for line in ax.lines}
        assert verticals == {trained, majority}
        left, right = ax.get_xlim()
        assert left < min(values.min(), interval[0]) and max(values.max(), interval[1]) < right


def test_a_range_reaches_from_the_worst_to_the_best_order_and_counts_stand_beside():
    figure = shuffle_probe.order_ranges(ORDER_ROWS, "t", paper={"single": (0.88, 0.93)})
    (ax,) = figure.axes
    drawn = [tuple(line.get_xdata()) for line in ax.lines]
    assert (0.6, 0.8) in drawn and (0.75, 0.75) in drawn and (0.88, 0.93) in drawn
    assert {"2 / 1 / 0", "0 / 0 / 2"} <= set(words_of(figure))
    assert not any(
        "paper" in text for text in words_of(shuffle_probe.order_ranges(ORDER_ROWS, "t"))
    )


@pytest.mark.parametrize("models", [("one", "two"), ("one", "two", "three", "four")])
def test_each_models_mean_stands_among_its_prompts_with_its_interval(models):
    pooled = [
        {"setting": model, "kind": kind, "prompts": 3, "by_prompt": [value, value - 0.02, value]}
        | {"mean_difference": [value - 0.01, value - 0.05, value + 0.03]}
        for sign, model in enumerate(models, -1)
        for kind, value in (("all move", -0.1 * sign), ("first kept", -0.04 * sign))
    ]
    figure = shuffle_probe.effects_over_prompts(pooled, "t")
    for ax, lines in zip(figure.axes, zip(pooled[::2], pooled[1::2], strict=True), strict=True):
        drawn = [(tuple(line.get_xdata()), line.get_ydata()[0]) for line in ax.lines]
        for y, line in enumerate(lines):
            value, low, high = line["mean_difference"]
            assert {((low, high), y), ((value,), y), (tuple(line["by_prompt"]), y)} <= set(drawn)
    assert {*(f"{model}, 3 prompts" for model in models), "all move"} <= set(words_of(figure))


def test_the_map_shows_each_pair_once():
    changes = np.arange(16.0).reshape(4, 4) / 100
    mesh = shuffle_probe.swap_map(changes, "t").axes[0].collections[0]
    shown = np.ma.asarray(mesh.get_array()).reshape(4, 4)
    for i in range(4):
        for j in range(4):
            if j < i:  # row i, column j: the exchange of j and i
                assert shown[i, j] == changes[j, i]
            else:
                assert np.ma.is_masked(shown[i, j])


def test_gains_where_chosen_and_held_out_are_two_lines():
    (ax,) = shuffle_probe.winners_curse([1, 10, 100], CURSE, "t").axes
    drawn = [list(line.get_ydata()) for line in ax.lines]
    assert [0.0, 0.02, 0.05] in drawn and drawn.count([0.0, 0.0, 0.0]) == 1


def test_an_order_stands_as_it_is_with_its_score():
    one = noisy_probe()
    picture = order_map(one, 7)
    score, flips = one.correct[7].mean(), (one.predictions[7] != one.trained).sum()
    title, *rest = texts(picture)
    assert f"Order 7: {score:.3f}" in title and f"{flips} of 64 flip" in title
    assert rest[:6] == [str(token) for token in one.orders[7]]
    assert {"trained order", "this order"} <= set(rest)


def test_the_histogram_of_orders_holds_every_order():
    one = noisy_probe()
    counts, _ = np.histogram(one.scores, bins=BINS)
    heights = np.array(bars(order_map(one, 0), PALE))
    assert heights / heights.max() == pytest.approx(counts / counts.max(), abs=0.002)


def test_lines_stand_where_the_scores_are():
    one = noisy_probe()
    best, worst = int(one.scores.argmax()), int(one.scores.argmin())

    def lines(index):
        paths = ElementTree.fromstring(order_map(one, index).svg).iter(f"{SVG}path")
        upright = [path.get("d").split() for path in paths if " V " in path.get("d")]
        return [float(d[1]) for d in upright]  # the trained order's, this order's

    trained, high = lines(best)
    again, low = lines(worst)
    assert trained == again and low < high
    by_place = (trained - low) / (high - low)
    by_score = (one.baseline - one.scores[worst]) / (one.scores[best] - one.scores[worst])
    assert by_place == pytest.approx(by_score, abs=0.002)


def test_a_long_prompt_carries_no_numbers_in_its_strip():
    assert "0" not in texts(order_map(noisy_probe(length=40), 0))
