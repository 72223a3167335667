"""What a figure says must be what the numbers say, and it must say it on every machine alike."""

from __future__ import annotations

import base64
import hashlib
import io
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
from PIL import Image

from drawn import CHANGES, CURSE, ORDER_ROWS, ORDER_SCORES, RUN, SCORES, VECTORS, WORDS, score_grid
from labkit.course.figures import (
    hard_prompt,
    order_worth,
    prompt_transfer,
    shared,
    shuffle_probe,
    soft_prompt,
    style,
)
from labkit.course.figures.data_flow import data_flow
from labkit.course.figures.style import FILE_DPI, WIDTH, CourseFigure, use_style
from test_figures_order_worth import DOSES, SHARES
from test_figures_order_worth import ROWS as WAYS
from test_figures_prompt_transfer import LINES

FIGURES: dict[str, Callable[[], CourseFigure]] = {
    "score_grid": lambda: score_grid([[0.49, 0.74], [0.6, 0.52]]),
    "interval_bars": lambda: shared.interval_bars(
        ["a", "b"],
        [0.5, 0.8],
        [0.4, 0.7],
        [0.6, 0.9],
        0.5,
        "majority",
        title="t",
        xlabel="accuracy",
    ),
    "loss_curves": lambda: shared.loss_curves(
        {"a": RUN, "b": RUN}, "Both learn", validation_size=50
    ),
    "length_curve": lambda: soft_prompt.length_curve(
        [1, 5, 20], [[0.6, 0.7, 0.8], [0.62, 0.75, np.nan]], "length", "Longer is better", 0.5, 0.7
    ),
    "similarity_histogram": lambda: soft_prompt.similarity_histogram(
        {"trained": np.linspace(0.3, 0.7, 20), "initial": np.ones(20)}, "They have moved"
    ),
    "calibration_shift": lambda: hard_prompt.calibration_shift(
        SCORES, SCORES - SCORES.mean(axis=0), ["negative", "positive"], "The bias is gone"
    ),
    "order_histograms": lambda: shuffle_probe.order_histograms(ORDER_SCORES, "Order matters"),
    "order_ranges": lambda: shuffle_probe.order_ranges(
        ORDER_ROWS, "Blocks hurt less", paper={"single": (0.88, 0.93)}
    ),
    "swap_map": lambda: shuffle_probe.swap_map(CHANGES, "The first one matters"),
    "winners_curse": lambda: shuffle_probe.winners_curse([1, 10, 100], CURSE, "Nothing is gained"),
    "ways_to_train": lambda: order_worth.ways_to_train(WAYS, "Order is worth little"),
    "restored_map": lambda: order_worth.restored_map(SHARES, "The first place is half of it"),
    "dose_response": lambda: order_worth.dose_response(DOSES, "The further the dearer"),
    "lines_between": lambda: prompt_transfer.lines_between(
        {"a": LINES["as trained"], "b": LINES["matched"]}, [0, 0.5, 1], "Matching takes it away"
    ),
    "data_flow": lambda: data_flow(
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
    "ways_to_train": {"accuracy on test"},
    "restored_map": {
        "place whose keys and values are the trained order's",
        "share restored,\nall layers, 95 % interval",
        "share restored",
        "layers",
    },
    "dose_response": {
        "pairs the other way round, %",
        "cost, nats a sentence",
        "predictions flipped",
    },
    "lines_between": {
        "share of the second prompt",
        "loss, nats (mean over pairs)",
        "loss above the line of its ends,\nnats (bars: 95 % interval)",
    },
    "data_flow": {"value of a dimension (first 24 of 64 drawn)"},
}


@pytest.fixture(params=FIGURES)
def name(request) -> str:
    return request.param


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
    assert set(chunks) == {"IHDR", "pHYs", "PLTE", "IDAT", "IEND"}


def test_fewer_colours_look_the_same(name):
    figure = FIGURES[name]()
    drawn = io.BytesIO()
    with style.in_style():
        figure.savefig(drawn, format="png", dpi=FILE_DPI)
    before, after = (
        np.asarray(Image.open(png).convert("RGB")).astype(int)
        for png in (drawn, io.BytesIO(figure.png()))
    )
    assert before.shape == after.shape and np.abs(before - after).max() <= 16


def test_png_is_the_same_in_another_process_without_a_display(tmp_path):
    """Even where the settings ask for a window: no pyplot, so no backend is ever looked for."""
    code = (
        "import hashlib; from labkit.course.figures import shared;"
        "f = shared.interval_bars(['a', 'b'], [.5, .8], [.4, .7], [.6, .9], .5, 'majority',"
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
        shared.interval_bars(["a"], [0.5], [0.4], [0.6], title=title, xlabel="accuracy")
        for title in ("Short", long)
    )
    first, second = two.get_suptitle().split("\n")
    assert " ".join((first, second)) == long
    assert len(second) > 0.6 * len(first)
    assert two.get_figheight() > one.get_figheight()


def test_use_style_is_for_the_notebooks_own_figures():
    with mpl.rc_context():
        use_style()
        assert not mpl.rcParams["axes.unicode_minus"]
        assert mpl.rcParams["figure.figsize"][0] == WIDTH
