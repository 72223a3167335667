"""Figures about what order is worth: what is drawn against the numbers given."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.core.statistics import mean_interval
from labkit.course.figures import order_worth

ROWS = [
    {"setting": way, "value": own + seed / 100, "in_random_orders": other - seed / 50}
    for way, own, other in (("ordinary", 0.8, 0.6), ("set", 0.7, 0.7))
    for seed in range(3)
]
SHARES = [
    {
        "what": "first virtual token kept in place",
        "layers": [0, 4],
        "place": 0,
        "restored": [9] * 3,
    },
    *(
        {
            "what": f"place {place + 1}, {first}–{last}",
            "layers": [first, last],
            "place": place,
            "restored": [share, share - 0.1, share + 0.1],
        }
        for place in range(3)
        for (first, last), share in (((0, 4), place / 4), ((0, 2), place / 8), ((2, 4), -place / 9))
    ),
    {"what": "every place, 0–2", "layers": [0, 2], "place": None, "restored": [9] * 3},
]
DOSES = [
    {"what": "a", "distance": d, "mean": [d, d - 0.1, d + 0.1], "flip_rate": [d / 2, 0, d]}
    for d in (0.05, 0.2, 0.5)
]


def drawn(ax):
    return {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in ax.lines}


def test_each_way_has_its_prompts_and_the_mean_over_them():
    (ax,) = order_worth.ways_to_train(ROWS, "t").axes
    shown = drawn(ax)
    for y, way in enumerate(("ordinary", "set")):
        for key, shift in (("value", -0.16), ("in_random_orders", 0.16)):
            values = np.array([row[key] for row in ROWS if row["setting"] == way])
            assert (tuple(values), (y + shift,) * 3) in shown
            assert ((values.mean(),), (y + shift,)) in shown
            assert (tuple(mean_interval(values)), (y + shift,) * 2) in shown
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ordinary", "set"]


def test_a_single_prompt_has_no_interval():
    (ax,) = order_worth.ways_to_train(ROWS[:1], "t").axes
    assert len(ax.lines) == 2


def test_the_map_shows_single_places_alone():
    figure = order_worth.restored_map(SHARES, "t")
    above, below = figure.axes[:2]
    values = [line.get_ydata()[0] for line in above.lines if line.get_marker() == "o"]
    assert values == pytest.approx([0, 0.25, 0.5])
    shown = np.asarray(below.collections[0].get_array()).reshape(2, 3)
    assert shown == pytest.approx(np.array([[0, 1 / 8, 2 / 8], [0, -1 / 9, -2 / 9]]))
    assert [label.get_text() for label in below.get_yticklabels()] == ["0–1", "2–3"]
    assert [label.get_text() for label in below.get_xticklabels()] == ["1", "2", "3"]


def test_cost_and_flips_stand_over_the_distance():
    figure = order_worth.dose_response([*DOSES, {"what": "no dose", "mean": [1, 1, 1]}], "t")
    for ax, key in zip(figure.axes, ("mean", "flip_rate"), strict=True):
        line = next(line for line in ax.lines if line.get_marker() == "o")
        assert line.get_xdata() == pytest.approx([5, 20, 50])
        assert line.get_ydata() == pytest.approx([dose[key][0] for dose in DOSES])
