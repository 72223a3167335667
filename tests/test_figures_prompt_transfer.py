"""The figures of notebook 08 show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.core.errors import LabError
from labkit.course.figures import prompt_transfer, shared
from labkit.prompt_transfer import TransferTable

NAMES = ("cr", "rte", "mpqa")


def small_table() -> TransferTable:
    values = np.array([[[0.8, 0.5, 0.7], [0.4, 0.6, 0.5], [0.75, 0.5, 0.9]]])
    seen = np.zeros((3, 3), dtype=bool)
    seen[0, 1] = True
    controls = {"untrained prompt": np.full((1, 3), 0.55)}
    return TransferTable(NAMES, NAMES, values, controls, seen, np.full(3, 0.5), (0,))


def test_the_map_holds_every_accuracy_with_kinds_together():
    figure = prompt_transfer.transfer_map(small_table(), "untrained prompt", "Title")
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cr", "mpqa", "rte"]
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert rows == ["untrained prompt", "majority class", "cr", "mpqa", "rte"]
    written = [t.get_text() for t in ax.texts]
    assert written[:6] == ["55"] * 3 + ["50"] * 3
    assert written[6:] == ["80", "70", "50", "75", "90", "50", "40", "50", "60"]
    framed = [p for p in ax.patches if p.get_hatch() is None]
    hatched = [p for p in ax.patches if p.get_hatch()]
    assert [int(p.get_x()) for p in framed] == [0, 1, 2]
    assert [(p.get_x(), p.get_y()) for p in hatched] == [(2, 2)]


def test_every_fair_pair_is_a_dot():
    alike = np.arange(9.0).reshape(3, 3)
    figure = prompt_transfer.likeness_dots(
        small_table(), {"cosine": alike}, "untrained prompt", "Title"
    )
    same, other = (line.get_xydata() for line in figure.axes[0].lines[:2])
    np.testing.assert_allclose(same, [[2, 15], [6, 20]])
    np.testing.assert_allclose(other, [[3, -15], [5, -5], [7, -5]])


LINES = {"as trained": [[0.5, 0.7, 0.5], [0.4, 0.8, 0.6]], "matched": [[0.5, 0.6, 0.7]] * 2}


def test_a_line_between_prompts_is_drawn_as_it_is_and_above_its_ends():
    figure = prompt_transfer.lines_between(LINES, [0, 0.5, 1], "Title")
    left, right = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in left.lines}
    assert list(drawn) == list(LINES)
    np.testing.assert_allclose(drawn["as trained"], [0.45, 0.75, 0.55])
    np.testing.assert_allclose(drawn["matched"], LINES["matched"][0])
    trained, matched = (line.get_ydata() for line in right.lines[:2])
    np.testing.assert_allclose(trained, [0, 0.25, 0], atol=1e-12)  # the mean of 0.2 and 0.3
    np.testing.assert_allclose(matched, 0, atol=1e-12)
    heights = right.collections[0].get_segments()[1][:, 1]  # the bar half-way
    half_width = 12.7062 * 0.05  # Student's t of one degree of freedom, the standard error
    np.testing.assert_allclose(heights, [0.25 - half_width, 0.25 + half_width], atol=1e-4)


def test_starts_and_votes():
    figure = prompt_transfer.start_curves(
        {"plain": [(0, 0.5), (10, 0.7)]}, "Title", goal=0.7, goal_name="goal", ylabel="accuracy"
    )
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xydata(), [[0, 0.5], [10, 0.7]])
    votes = {"one": (0.6, 0.5, 0.7), "vote": (0.8, 0.7, 0.9)}
    figure = shared.interval_bars(
        list(votes),
        *zip(*votes.values(), strict=True),
        0.5,
        title="Title",
        xlabel="accuracy",
        marked=("vote",),
    )
    lines = [line.get_xdata() for line in figure.axes[0].lines]
    assert [list(np.atleast_1d(x)) for x in lines[:4]] == [[0.5, 0.7], [0.6], [0.7, 0.9], [0.8]]


def test_outcomes_of_starts_are_stacked_with_their_counts():
    ends = ("sooner", "as soon", "later", "never")
    told = {"most alike": (1, 0, 3, 2), "random source": (4, 1, 1, 0)}
    outcomes = {start: dict(zip(ends, counts, strict=True)) for start, counts in told.items()}
    ax = prompt_transfer.outcomes_of_starts(outcomes, "Title").axes[0]
    bars = [[bar.get_bbox().intervalx for bar in container] for container in ax.containers]
    np.testing.assert_allclose(bars[0], [[0, 1], [0, 4]])
    np.testing.assert_allclose(bars[2], [[1, 4], [5, 6]])
    assert [text.get_text() for text in ax.texts] == ["1", "4", "", "1", "3", "1", "2", ""]
    half = [line for line in ax.lines if line.get_label() == "half of the runs"]
    assert [line.get_xdata()[0] for line in half] == [3]


def test_every_map_has_a_panel_and_every_target_its_three_inputs():
    scores = {
        ("rt-polarity", "rt-polarity"): {"own": 0.8, "map's": 0.8, "untrained": 0.5},
        ("rt-polarity", "cr"): {"own": 0.6, "map's": 0.7, "untrained": 0.5},
        ("subj", "rt-polarity"): {"own": 0.4, "map's": 0.3, "untrained": 0.2},
        ("subj", "cr"): {"own": 0.1, "map's": 0.9, "untrained": 0.2},
    }
    figure = prompt_transfer.read_through_maps(
        scores, "Title", level={"cr": 0.85, "rt-polarity": 0.75}, level_name="no map"
    )
    assert [ax.get_title() for ax in figure.axes] == [
        "map trained on rt-polarity",
        "map trained on subj",
    ]
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    drawn = {
        (line.get_label(), rows[line.get_ydata()[0]]): line.get_xdata()[0]
        for line in figure.axes[1].lines
    }
    assert drawn["own", "cr"] == 0.1 and drawn["map's", "rt-polarity"] == 0.3
    assert drawn["no map", "cr"] == 0.85 and len(drawn) == 8
    assert len(figure.legends[0].get_texts()) == 4


def test_colours_are_measured_from_the_control_that_was_chosen():
    table = small_table()
    assert prompt_transfer.controls_of(table) == ["untrained prompt", "majority class"]
    for control, level in (("untrained prompt", 0.55), ("majority class", 0.5)):
        ax = prompt_transfer.transfer_map(table, control, "Title").axes[0]
        colours = np.asarray(ax.collections[0].get_array()).reshape(5, 3)
        order = [0, 2, 1]  # kinds stand together
        expected = 100 * (table.values[0][np.ix_(order, order)] - level)
        np.testing.assert_allclose(colours[0], np.zeros(3))
        other = 0.5 if control == "untrained prompt" else 0.55
        np.testing.assert_allclose(colours[1], np.full(3, 100 * (other - level)))
        np.testing.assert_allclose(colours[2:], expected)
        assert ax.get_yticklabels()[0].get_text() == control
    with pytest.raises(LabError, match="no control 'random'; choose one of untrained prompt"):
        prompt_transfer.transfer_map(table, "random", "Title")


def test_one_task_that_finds_its_majority_class_does_not_pale_the_others():
    values = np.full((1, 6, 6), 0.6)
    values[0, 5, 5] = 0.95
    names = ("cr", "sst2", "mpqa", "rte", "qnli", "mrpc")
    controls = {"untrained prompt": np.full((1, 6), 0.5)}
    blank = np.zeros((6, 6), dtype=bool)
    table = TransferTable(names, names, values, controls, blank, np.full(6, 0.5), (0,))
    ax = prompt_transfer.transfer_map(table, "untrained prompt", "Title").axes[0]
    low, high = ax.collections[0].get_clim()
    np.testing.assert_allclose([low, high], [-10, 10])
