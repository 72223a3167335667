"""What a figure says must be what the numbers say, and it must say it on every machine alike."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle

from labkit.core.statistics import accuracy_interval, mean_interval
from labkit.course.figures import plots
from labkit.course.figures.style import FILE_DPI, WIDTH, CourseFigure

RNG = np.random.default_rng(0)
STEPS = list(range(1, 101))
LOSSES = (1.0 + RNG.normal(0, 0.1, 100)).tolist()
RUN = (STEPS, LOSSES, [50, 100], [0.6, 0.8])
SCORES = RNG.normal(-2, 1, (200, 2))
WORDS = [("a", 81, "word"), (" fine", 2000, "word"), (" film", 2001, "word"), ("?", None, "mask")]
VECTORS = np.vstack([RNG.normal(0, 0.1, (3, 64)), np.full((1, 64), np.nan)])


def grid(values: list[list[float]], half: float = 0.05, **changes) -> CourseFigure:
    array = np.array(values)
    rows = [f"{{text}} template {r} {{mask}}" for r in range(len(array))]
    columns = [f"bad{c} / good{c}" for c in range(array.shape[1])]
    return plots.score_grid(array, array - half, array + half, rows, columns, 0.5, "Wording counts")


ORDER_SCORES = {
    "causal": (RNG.normal(0.6, 0.03, 50), 0.84, (0.79, 0.88), 0.5),
    "encoder": (RNG.normal(0.77, 0.01, 50), 0.78, (0.73, 0.83), 0.5),
}
ORDER_ROWS = [
    {
        **{"setting": "single", "scores": [0.6, 0.7, 0.8], "baseline": 0.75, "ci95": [0.7, 0.8]},
        **{"worse": 2, "better": 1, "equal": 0},
    },
    {
        **{"setting": "blocks", "scores": [0.75, 0.75], "baseline": 0.75, "ci95": [0.7, 0.8]},
        **{"worse": 0, "better": 0, "equal": 2},
    },
]
CHANGES = RNG.normal(0, 0.02, (5, 5))
CURSE = {"noise": ([0.0, 0.02, 0.05], [0.0, 0.0, 0.0])}
FIGURES: dict[str, Callable[[], CourseFigure]] = {
    "score_grid": lambda: grid([[0.49, 0.74], [0.6, 0.52]]),
    "interval_bars": lambda: plots.interval_bars(
        ["a", "b"],
        [0.5, 0.8],
        [0.4, 0.7],
        [0.6, 0.9],
        0.5,
        "majority",
        title="t",
        xlabel="accuracy",
    ),
    "loss_curves": lambda: plots.loss_curves(
        {"a": RUN, "b": RUN}, "Both learn", validation_size=50
    ),
    "length_curve": lambda: plots.length_curve(
        [1, 5, 20], [[0.6, 0.7, 0.8], [0.62, 0.75, np.nan]], "length", "Longer is better", 0.5, 0.7
    ),
    "similarity_histogram": lambda: plots.similarity_histogram(
        {"trained": np.linspace(0.3, 0.7, 20), "initial": np.ones(20)}, "They have moved"
    ),
    "calibration_shift": lambda: plots.calibration_shift(
        SCORES, SCORES - SCORES.mean(axis=0), ["negative", "positive"], "The bias is gone"
    ),
    "order_histograms": lambda: plots.order_histograms(ORDER_SCORES, "Order matters"),
    "order_ranges": lambda: plots.order_ranges(
        ORDER_ROWS, "Blocks hurt less", paper={"single": (0.88, 0.93)}
    ),
    "swap_map": lambda: plots.swap_map(CHANGES, "The first one matters"),
    "winners_curse": lambda: plots.winners_curse([1, 10, 100], CURSE, "Nothing is gained"),
    "data_flow": lambda: plots.data_flow(
        "a fine film", WORDS, VECTORS, {"negative": 0.3, "positive": 0.7}, "It is positive"
    ),
}


@pytest.fixture(params=FIGURES, name="figure")
def every_figure(request) -> CourseFigure:
    return FIGURES[request.param]()


LABELS = {
    "score_grid": {"label words", "template", "accuracy (share correct)"},
    "interval_bars": {"accuracy, 95 % interval"},
    "loss_curves": {
        "training step",
        "training loss (nats per example)",
        "accuracy on validation\n(share correct, 95 % interval)",
    },
    "length_curve": {"length", "accuracy on test (share correct)"},
    "similarity_histogram": {
        "cosine with the nearest vocabulary entry (line: median)",
        "share of the virtual tokens",
    },
    "calibration_shift": {
        "predicted class",
        "share of the examples\n(95 % interval)",
        "margin: positive - negative (nats)",
        "examples (of 200)",
    },
    "order_histograms": {"orders", "accuracy on test (share correct)"},
    "order_ranges": {"accuracy on test (share correct)"},
    "swap_map": {"one virtual token", "changes places with another", "change of the accuracy"},
    "winners_curse": {"orders that the best was chosen from", "gain over the trained order"},
    "data_flow": {"value of a dimension (first 24 of 64 drawn)"},
}


@pytest.fixture(params=FIGURES)
def name(request) -> str:
    return request.param


def texts(figure: CourseFigure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


# ---------------------------------------------------------------- every figure


def test_every_figure_has_its_finding_as_title_and_says_what_its_axes_are(name):
    figure = FIGURES[name]()
    labels = {label for ax in figure.axes for label in (ax.get_xlabel(), ax.get_ylabel())}
    assert figure.get_suptitle()
    assert (labels | {figure.get_supylabel()}) - {""} == LABELS[name]


def test_every_figure_draws_without_a_warning_and_nothing_leaves_the_page(name):
    """Clipped labels are the commonest fault of a figure; a warning fails a notebook's cell."""
    figure = FIGURES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.png()
    drawn = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())  # inches
    width, height = figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


def test_no_figure_changes_the_notebooks_own_settings(name):
    with mpl.rc_context({"font.size": 23, "axes.unicode_minus": True}):
        before = dict(mpl.rcParams)
        styled_anyway = FIGURES[name]().png()
        assert dict(mpl.rcParams) == before
    assert styled_anyway == FIGURES[name]().png()


def test_png_of_a_figure_shown_twice_is_the_same(name):
    figure = FIGURES[name]()
    assert figure.png() == figure.png() == figure.png()


def test_png_holds_the_picture_and_nothing_else(name):
    """No date, no path, no version: an unchanged figure is an unchanged file."""
    png = FIGURES[name]().png()
    chunks, at = [], 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunks.append(kind.decode())
        if kind == b"IHDR":
            assert struct.unpack(">I", png[at + 8 : at + 12])[0] == pytest.approx(
                WIDTH * FILE_DPI, abs=1
            )
        at += length + 12
    assert set(chunks) == {"IHDR", "pHYs", "IDAT", "IEND"}


def test_png_is_the_same_in_another_process_without_a_display(tmp_path):
    """Even where the settings ask for a window: no pyplot, so no backend is ever looked for."""
    code = (
        "import sys, hashlib; from labkit.course import plots;"
        "f = plots.interval_bars(['a', 'b'], [.5, .8], [.4, .7], [.6, .9], .5, 'majority',"
        "title='t', xlabel='accuracy'); print(hashlib.sha256(f.png()).hexdigest())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {"MPLBACKEND": "tkagg"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.strip() == hashlib.sha256(FIGURES["interval_bars"]().png()).hexdigest()


def test_shown_in_a_notebook_as_one_png_at_screen_size_with_the_finding_as_its_text():
    figure = FIGURES["interval_bars"]()
    data, metadata = figure._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == figure.png()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == "t"
    assert metadata["image/png"]["width"] == round(WIDTH * 96)


def test_a_long_title_is_wrapped_and_gets_its_own_room():
    long = "Twenty trained vectors in front of the same review, and the same frozen model is sure"
    one, two = (
        plots.interval_bars(["a"], [0.5], [0.4], [0.6], title=title, xlabel="accuracy")
        for title in ("Short", long)
    )
    first, second = two.get_suptitle().split("\n")
    assert " ".join((first, second)) == long
    assert len(second) > 0.6 * len(first)
    assert two.get_figheight() > one.get_figheight()


def test_use_style_is_for_the_notebooks_own_figures():
    with mpl.rc_context():
        plots.use_style()
        assert not mpl.rcParams["axes.unicode_minus"]
        assert mpl.rcParams["figure.figsize"][0] == WIDTH


# ---------------------------------------------------------------- what stands where


def test_interval_bars_draws_each_value_between_its_ends():
    rows = [("soft", 0.85, 0.82, 0.87), ("hard", 0.74, 0.70, 0.79), ("random", 0.5, 0.4, 0.6)]
    names, values, lows, highs = zip(*rows, strict=True)
    figure = plots.interval_bars(names, values, lows, highs, 0.5, "majority", title="t", xlabel="x")
    (ax,) = figure.axes
    drawn = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in ax.lines}
    for y, (_, value, low, high) in enumerate(rows):
        assert ((low, high), (y, y)) in drawn
        assert ((value,), (y,)) in drawn
    assert [label.get_text() for label in ax.get_yticklabels()] == list(names)
    assert ax.yaxis_inverted()  # the first on top
    assert ((0.5, 0.5), (0, 1)) in drawn
    assert "majority 0.50" in texts(figure)


def test_interval_bars_refuses_a_value_without_an_interval():
    with pytest.raises(ValueError, match="shorter"):
        plots.interval_bars(["a", "b"], [1, 2], [0], [2, 3], title="t", xlabel="x")


def frames(figure: CourseFigure) -> set[tuple[int, int]]:
    """(row, column) of the cells in a dashed frame."""
    return {
        (int(patch.get_y()), int(patch.get_x()))
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and not patch.get_fill()
    }


def test_score_grid_marks_exactly_the_cells_that_may_be_no_better_than_the_majority():
    figure = grid([[0.46, 0.74], [0.60, 0.54], [0.30, 0.56]], half=0.05)
    assert frames(figure) == {(0, 0), (1, 1)}
    assert "interval contains the majority class (0.50)" in texts(figure)
    assert {"0.74\n±0.05", "0.30\n±0.05"} <= set(texts(figure))


def test_score_grid_is_white_at_the_majority_blue_above_and_vermillion_below():
    figure = grid([[0.5, 0.74, 0.30]])
    figure.png()
    white, above, below = figure.axes[0].collections[0].get_facecolors()
    assert to_hex(white) == "#ffffff"
    assert above[2] > above[0]
    assert below[0] > below[2]


def test_score_grid_leaves_a_cell_that_was_not_scored_empty():
    figure = grid([[0.6, np.nan], [0.7, 0.5]])
    figure.png()
    assert not [text for text in texts(figure) if "nan" in text]


def test_score_grid_of_one_constant_value_still_draws():
    grid([[0.5, 0.5]]).png()


def test_loss_curves_smooth_over_the_last_tenth_and_keep_the_raw_loss():
    figure = plots.loss_curves({"run": RUN}, "It learns")
    raw, smooth, end = figure.axes[0].lines
    assert raw.get_ydata() == pytest.approx(LOSSES)
    by_hand = [np.mean(LOSSES[max(0, i - 9) : i + 1]) for i in range(100)]
    assert smooth.get_ydata() == pytest.approx(by_hand)
    assert end.get_xydata() == pytest.approx(np.array([[100, by_hand[-1]]]))


def test_loss_curves_draw_the_interval_of_each_validation_accuracy():
    figure = plots.loss_curves({"run": RUN}, "It learns", validation_size=50)
    (bars,) = figure.axes[1].collections
    for segment, k in zip(bars.get_segments(), (30, 40), strict=True):
        assert tuple(segment[:, 1]) == pytest.approx(accuracy_interval((k, 50)))
    assert not plots.loss_curves({"run": RUN}, "It learns").axes[1].collections


def test_loss_curves_of_the_very_first_step_say_that_nothing_was_validated():
    figure = plots.loss_curves({"run": ([1], [0.7], [], [])}, "It starts")
    figure.png()
    assert "not measured" in texts(figure)
    assert "not measured" not in texts(plots.loss_curves({"run": RUN}, "It learns"))


def test_length_curve_band_is_the_t_interval_and_a_missing_seed_is_left_out():
    values = np.array([[0.60, 0.80, 0.84], [0.62, 0.81, np.nan], [0.64, np.nan, np.nan]])
    figure = plots.length_curve([1, 5, 20], values, "length", "Longer is better", 0.5, hard=0.7)
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
    assert {"majority class 0.50", "hard prompt 0.70"} <= set(texts(figure))


def test_similarity_histogram_counts_every_virtual_token_once():
    """Cosines of float32 vectors with themselves come out as 1.0000001 and may not be lost."""
    figure = plots.similarity_histogram(
        {"trained": [-0.2, 0.5, 0.5, 0.7], "initial": np.full(20, 1.0000001)}, "They have moved"
    )
    for ax in figure.axes:
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
    assert any("trained (n = 4)\nmedian 0.50" in text for text in texts(figure))


def test_calibration_shift_shows_the_shares_predicted_and_all_margins():
    before = np.array([[0.0, -1.0]] * 9 + [[-1.0, 0.0]])
    after = np.array([[0.0, -1.0]] * 5 + [[-1.0, 0.0]] * 5)
    figure = plots.calibration_shift(before, after, ["negative", "positive"], "The bias is gone")
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == pytest.approx([0.9, 0.1, 0.5, 0.5])
    ends = [tuple(s[:, 1]) for bars in left.collections for s in bars.get_segments()]
    expected = [accuracy_interval((k, 10)) for k in (9, 1, 5, 5)]
    assert np.array(ends) == pytest.approx(np.array(expected))
    assert {tuple(line.get_xdata()) for line in right.lines} == {(0, 0)}


def test_calibration_shift_of_three_classes_takes_the_best_minus_the_second_best():
    scores = np.array([[0.0, -1.0, -3.0], [-5.0, 0.0, -2.0]])
    figure = plots.calibration_shift(scores, scores, ["a", "b", "c"], "Nothing moves")
    right = figure.axes[1]
    assert right.get_xlabel() == "margin: best - second best (nats)"
    assert right.get_xlim()[0] > 0.5  # the margins are 1 and 2; there is no boundary at 0


# ---------------------------------------------------------------- the flow of one review


def flow(pieces, vectors, text="a fine film") -> CourseFigure:
    return plots.data_flow(text, pieces, vectors, {"negative": 0.3, "positive": 0.7}, "Positive")


def places(figure: CourseFigure) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts}


def test_data_flow_puts_each_id_under_its_piece():
    at = places(flow(WORDS, VECTORS))
    for piece, number in (("a", "81"), ("␣fine", "2000"), ("␣film", "2001")):
        assert at[piece][0] == at[number][0]
        assert at[piece][1] > at[number][1]
    assert {"3 integers", "(3, 64)", "0.70", "0.30"} <= set(at)


def test_data_flow_draws_the_vectors_it_is_given():
    figure = flow(WORDS, VECTORS)
    strips = [image.get_array().ravel() for image in figure.axes[0].images]
    assert len(strips) == 3  # the answer slot of a causal model is fed nothing
    for strip, vector in zip(strips, VECTORS, strict=False):
        assert np.asarray(strip) == pytest.approx(vector[:24])


def test_data_flow_shortens_twenty_virtual_tokens_and_a_long_review_to_the_width():
    soft = [(f"v{i}", None, "soft") for i in range(1, 21)]
    words = [(f" word{i}", 1000 + i, "word") for i in range(40)]
    pieces = [*soft, *words, ("?", None, "mask")]
    vectors = RNG.normal(size=(61, 64))
    figure = flow(pieces, vectors, text="word " * 40)
    at = places(figure)
    assert {"v1", "v20", "␣word0", "␣word39", "?", "…"} <= set(at)
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert max(box.get_extents().x1 for box in boxes) <= figure.bbox.x1
    assert {"61 places", "40 integers", "(61, 64)"} <= set(at)
    # The strip under v20 is row 19 of the matrix, not the sixth one drawn.
    x = at["v20"][0]
    (strip,) = (i for i in figure.axes[0].images if i.get_extent()[0] < x < i.get_extent()[1])
    assert np.asarray(strip.get_array()).ravel() == pytest.approx(vectors[19, :24])


def test_data_flow_tells_the_kinds_apart_and_names_only_those_present():
    assert "virtual token (trained)" not in texts(flow(WORDS, VECTORS))
    pieces = [("v1", None, "soft"), *WORDS[1:]]
    assert "virtual token (trained)" in texts(flow(pieces, VECTORS))


@pytest.mark.parametrize("text", ["worth $x_^$, at most", "一部好电影", "a\nb\tc", "{x} %s"])
def test_data_flow_shows_any_text_a_reader_may_type(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow([(text, 1, "word"), *WORDS[1:]], VECTORS, text=text).png()


# ---------------------------------------------------------------- orders


def test_every_order_is_in_its_panel():
    figure = plots.order_histograms(ORDER_SCORES, "Order matters")
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
    figure = plots.order_ranges(ORDER_ROWS, "t", paper={"single": (0.88, 0.93)})
    (ax,) = figure.axes
    drawn = [tuple(line.get_xdata()) for line in ax.lines]
    assert (0.6, 0.8) in drawn and (0.75, 0.75) in drawn and (0.88, 0.93) in drawn
    assert {"2 / 1 / 0", "0 / 0 / 2"} <= set(texts(figure))
    assert not any("paper" in text for text in texts(plots.order_ranges(ORDER_ROWS, "t")))


def test_a_result_is_drawn_with_what_it_has():
    rows = [{**row, "seed": 0} for row in ORDER_ROWS] + [{"setting": "stuck", "seed": 0}]
    result = {"name": "table2", "task": "films", "rows": rows, "summary": []}
    drawn = plots.result_figure(result)
    assert drawn.get_suptitle() == "table2 (films)"
    assert {"single, seed 0", "blocks, seed 0"} <= set(texts(drawn))
    summary = [
        {"setting": "20", "mean": 0.8, "ci95": [0.7, 0.9]},
        {"setting": "1", "mean": 0.6, "ci95": None},
    ]
    result = {"name": "lester-length", "task": "films", "rows": [], "summary": summary}
    assert {"20", "0.800"} <= set(texts(plots.result_figure(result)))
    assert plots.result_figure({**result, "summary": summary[1:]}) is None


def test_the_map_shows_each_pair_once():
    changes = np.arange(16.0).reshape(4, 4) / 100
    mesh = plots.swap_map(changes, "t").axes[0].collections[0]
    shown = np.ma.asarray(mesh.get_array()).reshape(4, 4)
    for i in range(4):
        for j in range(4):
            if j < i:  # row i, column j: the exchange of j and i
                assert shown[i, j] == changes[j, i]
            else:
                assert np.ma.is_masked(shown[i, j])


def test_gains_where_chosen_and_held_out_are_two_lines():
    (ax,) = plots.winners_curse([1, 10, 100], CURSE, "t").axes
    drawn = [list(line.get_ydata()) for line in ax.lines]
    assert [0.0, 0.02, 0.05] in drawn and drawn.count([0.0, 0.0, 0.0]) == 1
