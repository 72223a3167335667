"""The figures of notebook 06 show the numbers they were given."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from drawn import SVG, texts
from labkit.course.figures import (
    lstm_sorter,
)
from labkit.course.figures.lstm_sorter import exchange_map
from labkit.course.figures.style import BLUE
from labkit.lstm_sorter import PairChanges


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


def compared(better: str, worse: str, by_prompt: list[float]) -> dict:
    mean = sum(by_prompt) / len(by_prompt)
    ends = [mean, mean - 0.1, mean + 0.1]
    named = {"better": better, "worse": worse, "prompts": len(by_prompt)}
    return named | {"mean_difference": ends, "by_prompt": by_prompt}


def test_searches_stand_in_their_panels_with_every_prompt_and_their_count():
    lines = [
        compared("swap", "trained order", [-0.1, -0.2]),
        compared("assignment", "trained order", [-0.3]),
        compared("swap", "random", [0.1, 0.3]),
        compared("random", "lstm", [0.5]),
    ]
    against = ("random", "trained order")
    figure = lstm_sorter.winners_and_losers(lines, against, "t", xlabel="difference")
    right, trained = figure.axes
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == ["swap (2)", "assignment (1)"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"minus {name}" for name in against]
    _, prompts, interval, mean = right.lines
    assert prompts.get_xdata().tolist() == [0.1, 0.3] and mean.get_xdata().tolist() == [0.2]
    assert interval.get_xdata().tolist() == pytest.approx([0.1, 0.3])
    assert {y for line in right.lines[1:] for y in line.get_ydata()} == {0}
    dots = [x for line in trained.lines[1:] if line.get_markersize() == 4 for x in line.get_xdata()]
    assert dots == [-0.1, -0.2, -0.3]
    colours = [line.get_color() for line in trained.lines if line.get_markersize() == 7]
    assert colours[0] == BLUE != colours[1]


def test_gains_stand_in_the_panel_of_the_training_and_the_row_of_the_search():
    lines = [
        {"way": way, "method": method, "prompts": 2, "kept": kept, "by_prompt": by_prompt}
        | {"mean_difference": [sum(by_prompt) / 2, *by_prompt]}
        for way, method, by_prompt, kept in (
            ("ordinary", "swap", [-0.2, 0.0], 1),
            ("order-proof", "swap", [0.1, 0.3], 0),
            ("ordinary", "random", [0.0, 0.0], 2),
            ("order-proof", "random", [0.4, 0.6], 0),
        )
    ]
    ordinary, proof = lstm_sorter.gains_of_sorting(lines, "t", xlabel="gain").axes
    assert [ax.get_title(loc="left") for ax in (ordinary, proof)] == [
        "ordinary prompts",
        "order-proof prompts",
    ]
    assert [label.get_text() for label in ordinary.get_yticklabels()] == ["swap (2)", "random (2)"]
    means = [[line for line in ax.lines if line.get_markersize() == 7] for ax in (ordinary, proof)]
    at = [[(line.get_xdata()[0], line.get_ydata()[0]) for line in of_panel] for of_panel in means]
    assert at == [[(-0.1, 0), (0, 1)], [(0.2, 0), (0.5, 1)]]
    open_dots = [line.get_markerfacecolor() == "white" for line in means[0]]
    assert open_dots == [False, True]  # an order that was handed back gained nothing
    at_random = [line for line in ordinary.lines if set(line.get_ydata()) == {1}]
    assert len(at_random) == 1  # the dot alone, without an interval
    assert ordinary.get_xlim() == proof.get_xlim()
    legend = [text.get_text() for text in ordinary.figure.legends[0].get_texts()]
    assert "one prompt, interval over sentences" not in legend  # nothing in it is grey


CHANGES = PairChanges([(0, 1), (0, 2), (1, 2)], [-0.1, 0.2, 0.05], [-0.2, 0.1, 0.3])


def circles(picture) -> list[dict]:
    return [c.attrib for c in ElementTree.fromstring(picture.svg).iter(f"{SVG}circle")]


def test_every_exchange_is_a_dot_in_proportion_and_the_chosen_one_has_a_ring():
    picture = exchange_map(CHANGES, 0, 2)
    assert texts(picture)[0] == "Places 0 and 2 exchanged: +0.200 nats predicted, +0.100 measured"
    pale, *blue, ring = circles(picture)
    assert pale["fill"] != BLUE and [dot["fill"] for dot in blue] == [BLUE, BLUE]
    assert (ring["cx"], ring["cy"]) == (blue[1]["cx"], blue[1]["cy"]) and ring["fill"] == "none"
    x, y = ([float(dot[axis]) for dot in (*blue, pale)] for axis in ("cx", "cy"))
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(0.3 / 0.15, abs=0.01)
    assert (y[1] - y[0]) / (y[2] - y[0]) == pytest.approx(0.3 / 0.5, abs=0.01)


def test_the_same_place_twice_tells_how_many_of_its_exchanges_help():
    picture = exchange_map(CHANGES, 0, 0)
    assert texts(picture)[0] == "1 of 2 exchanges of place 0 lower the loss"
    assert len(circles(picture)) == 3
