"""The figures of notebook 02 show lengths and neighbours as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drawn import texts, words_of
from labkit.core.errors import LabError
from labkit.core.statistics import mean_interval
from labkit.course.figures import (
    soft_prompt,
)
from labkit.course.figures.soft_prompt import duels, length_duels, nearest_words
from labkit.experiments.base.rows import as_digits
from labkit.soft_prompt import Neighbours


def test_length_curve_band_is_the_t_interval_and_a_missing_seed_is_left_out():
    values = np.array([[0.60, 0.80, 0.84], [0.62, 0.81, np.nan], [0.64, np.nan, np.nan]])
    figure = soft_prompt.length_curve(
        [1, 5, 20], values, "length", "Longer is better", 0.5, hard=0.7
    )
    (ax,) = figure.axes
    (band,) = ax.collections
    corners = {(round(x, 6), round(y, 6)) for path in band.get_paths() for x, y in path.vertices}
    for x, column in ((1, values[:, 0]), (5, values[:2, 1])):
        for end in mean_interval(column):
            assert (x, round(end, 6)) in corners
    assert not any(x == 20 for x, _ in corners)  # one seed: a dot, no interval
    means = next(line for line in ax.lines if line.get_linewidth() == 2)
    assert means.get_ydata() == pytest.approx([0.62, 0.805, 0.84])
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "5", "20"]
    assert {"majority class 0.50", "hard prompt 0.70"} <= set(words_of(figure))


def test_first_steps_are_drawn_as_they_are_and_as_means_of_those_before():
    losses = {"yours": [4.0, 2.0, 3.0, 1.0], "the library's": [1.0, 1.0, 1.0, 1.0]}
    (ax,) = soft_prompt.first_steps(losses, "Both fall", window=2).axes
    raw, mean = ax.lines[:2]
    assert list(raw.get_xdata()) == [1, 2, 3, 4]
    assert list(raw.get_ydata()) == losses["yours"]
    assert list(mean.get_xdata()) == [2, 3, 4]
    assert mean.get_ydata() == pytest.approx([3.0, 2.5, 2.0])
    assert ax.lines[3].get_ydata() == pytest.approx([1.0, 1.0, 1.0])


def test_similarity_histogram_counts_every_virtual_token_once():
    """Cosines of float32 vectors with themselves come out as 1.0000001 and may not be lost."""
    figure = soft_prompt.similarity_histogram(
        {"trained": [-0.2, 0.5, 0.5, 0.7], "initial": np.full(20, 1.0000001)}, "They have moved"
    )
    for ax in figure.axes:
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
    assert any("trained (n = 4)\nmedian 0.50" in text for text in words_of(figure))


def neighbours(*rows: tuple[str, ...]) -> Neighbours:
    cosines = torch.linspace(0.9, 0.5, len(rows[0])).repeat(len(rows), 1)
    return Neighbours([list(row) for row in rows], cosines)


def test_the_neighbours_of_one_virtual_token_stand_beside_the_controls():
    found = {
        "trained": neighbours(("a", "b"), (" film", "<film>")),
        "start": neighbours(("a", "c"), (" film", "d")),
        "random": neighbours(("x", "y"), ("z", "w")),
    }
    picture = nearest_words(found, 1)
    title, *shown = texts(picture)
    assert title == "e2 is nearest to “␣film” (trained and start)"
    entries = [word for word in shown if not word.startswith("0.") and "cosine" not in word]
    assert entries == ["␣film", "<film>", "␣film", "d", "z", "w"]
    assert shown.count("0.90") == shown.count("0.50") == 3
    assert "random: z 0.90, w 0.50" in picture.alt


def rows(answers: dict[str, list[list[int]]]) -> list[dict]:
    return [
        {"setting": setting, "seed": seed, "correct": as_digits(right)}
        for setting, by_seed in answers.items()
        for seed, right in enumerate(by_seed)
    ]


def test_a_duel_counts_what_only_one_of_two_gets_right():
    found = duels(
        rows({"1": [[1, 1, 0, 0], [1, 0, 0, 0]], "20": [[1, 0, 1, 1], [1, 1, 1, 0]]}), ["1", "20"]
    )
    duel = found["20", "1"]
    assert (duel.gained, duel.lost) == (4 / 8, 1 / 8)
    assert duel.difference.value == pytest.approx(3 / 8)
    back = found["1", "20"]
    assert (back.gained, back.lost, back.difference.value) == (1 / 8, 4 / 8, pytest.approx(-3 / 8))
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-duel.difference.high, -duel.difference.low)
    )


def test_settings_without_a_common_seed_are_refused():
    one, other = rows({"1": [[1, 0]], "5": [[1, 1]]})
    with pytest.raises(LabError, match="no seed in common"):
        duels([one, other | {"seed": 7}], ["1", "5"])


def test_the_figure_of_lengths_tells_who_beats_whom():
    random = np.random.default_rng(0)
    shares = {"1": 0.5, "5": 0.75, "20": 0.75, "100": 0.98}
    answers = {
        name: (random.random((3, 300)) < share).astype(int) for name, share in shares.items()
    }
    found = duels(rows(answers), list(shares))
    figure = length_duels(found, "5")
    assert figure.get_suptitle() == "Length 5 beats 1, loses to 100, can't be told from 20"
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "against 1",
        "against 20",
        "against 100",
    ]
    drawn = [patch.get_width() for patch in ax.patches]
    against = [found["5", name] for name in ("1", "20", "100")]
    assert drawn == pytest.approx([width for d in against for width in (d.gained, -d.lost)])
    net = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert net == pytest.approx([d.gained - d.lost for d in against])
