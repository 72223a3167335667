"""What the widgets leave in a notebook: pictures, and only those."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from conftest import noisy_probe
from labkit.core.errors import LabError
from labkit.course.figures.attention import AnswerAttention, attention_map
from labkit.course.figures.style import CourseFigure
from labkit.course.interact import widgets
from labkit.course.interact.widgets import LiveCurve, strip_widgets
from labkit.experiments.base.rows import as_digits
from labkit.lstm_sorter import PairChanges
from labkit.soft_prompt import Neighbours

ROOT = Path(__file__).parents[1]
VIEW = "application/vnd.jupyter.widget-view+json"


def run(*cells: str) -> nbformat.NotebookNode:
    """Execute cells in a kernel of their own and return the notebook as it would be saved."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    nbclient.NotebookClient(notebook, timeout=120).execute(env=environment)
    return notebook


# ---------------------------------------------------------------- the live curve

TRAIN = """
import time
from contextlib import closing
from labkit.course.interact.widgets import LiveCurve
with closing(LiveCurve("It learns", validation_size=100)) as live:
    for step in range(1, 41):
        live(step, 1 / step, 0.5 + step / 100 if step % 10 == 0 else None)
        time.sleep({pause})
"""


@pytest.fixture(scope="module")
def trained() -> nbformat.NotebookNode:
    last = "import base64; print(base64.b64encode(live.figure().png()).decode())"
    return run(TRAIN.format(pause=0.05), last, "live.figure()")


def test_live_curve_leaves_one_picture_in_the_saved_notebook_and_nothing_else(trained):
    (output,) = trained.cells[0].outputs
    assert output.output_type == "display_data"
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.metadata["image/png"]["alt"] == "It learns"


def test_live_curve_ends_with_the_whole_run(trained):
    """What is left is the last picture, not the first that happened to be drawn."""
    shown = trained.cells[0].outputs[0].data["image/png"]
    assert shown.strip() == trained.cells[1].outputs[0].text.strip()


def test_a_figure_as_the_last_line_of_a_cell_is_shown_once(trained):
    (output,) = trained.cells[2].outputs
    assert output.output_type == "execute_result"
    assert output.data["image/png"]


@pytest.fixture
def notebook(monkeypatch) -> list:
    """A front end that only counts what it is sent; and a clock that the test moves."""
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure)

    def display(thing, display_id=None):
        shown.append(thing)
        return Handle() if display_id else None

    monkeypatch.setattr(widgets, "display", display)
    monkeypatch.setattr(widgets, "_in_notebook", lambda: True)
    return shown


def test_live_curve_redraws_no_more_than_four_times_a_second(notebook, monkeypatch):
    now = 0.0
    monkeypatch.setattr(widgets.time, "monotonic", lambda: now)
    monkeypatch.setattr(LiveCurve, "figure", lambda live: "a picture that takes no time")
    live = LiveCurve("It learns")
    for step in range(1, 101):  # ten steps a second, for ten seconds
        live(step, 1.0)
        now += 0.1
    assert 30 <= len(notebook) <= 41


def test_live_curve_takes_a_tenth_of_the_time_at_most(notebook, monkeypatch):
    """On a slow machine drawing must not slow the training down: here a picture takes a second."""
    now, drawing = 0.0, 0.0
    monkeypatch.setattr(widgets.time, "monotonic", lambda: now)

    def draw_for_a_second(live):
        nonlocal now, drawing
        now, drawing = now + 1.0, drawing + 1.0

    monkeypatch.setattr(LiveCurve, "figure", draw_for_a_second)
    live = LiveCurve("It learns")
    for step in range(1, 401):
        live(step, 1.0)
        now += 0.2
    assert 0.05 < drawing / now < 0.12


def test_live_curve_draws_every_step_and_validation_it_was_given():
    live = LiveCurve("It learns")
    for step, loss, value in [(1, 0.9, None), (2, 0.7, 0.6), (3, 0.5, None), (4, 0.4, 0.8)]:
        live(step, loss, value)
    left, right = live.figure().axes
    assert left.lines[0].get_xydata().tolist() == [[1, 0.9], [2, 0.7], [3, 0.5], [4, 0.4]]
    assert right.lines[0].get_xydata().tolist() == [[2, 0.6], [4, 0.8]]


def test_live_curve_is_silent_in_a_script():
    code = (
        "from labkit.course.interact.widgets import LiveCurve\n"
        "live = LiveCurve('t')\n"
        "live(1, 0.5)\n"
        "live.close()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_live_curve_closed_before_the_first_step_shows_nothing(notebook):
    live = LiveCurve("It learns")
    live.close()
    assert notebook == []
    with pytest.raises(LabError, match="without a step"):
        live.figure()


# ---------------------------------------------------------------- the review box


def score(text: str) -> dict[str, dict[str, float]]:
    if not text.strip():
        raise LabError("the review is empty: type a sentence")
    good = 0.9 if "good" in text else 0.2
    return {
        "hard": {"negative": 0.6, "positive": 0.4},
        "soft": {"negative": 1 - good, "positive": good},
    }


def test_review_box_rescores_a_new_review_in_place(notebook):
    widgets.review_box(score, "a good film")
    panel, first = notebook
    box, message = panel.children
    assert "a good film" in first.get_suptitle()
    box.value = "a dull film"
    assert len(notebook) == 3
    assert "a dull film" in notebook[-1].get_suptitle()
    assert message.value == ""


def test_review_box_says_what_is_wrong_and_keeps_the_picture(notebook):
    widgets.review_box(score, "a good film")
    box, message = notebook[0].children
    box.value = " "
    assert message.value == "the review is empty: type a sentence"
    assert len(notebook) == 2
    box.value = "a dull film"
    assert message.value == ""


def test_the_chooser_changes_the_picture_in_place(notebook):
    widgets.figure_chooser(["a", "b"], lambda name: CourseFigure(2.0, f"Figure {name}"), "which")
    box, first = notebook
    assert first.get_suptitle() == "Figure a"
    box.value = "b"
    assert len(notebook) == 3 and notebook[-1].get_suptitle() == "Figure b"


def test_the_slider_changes_the_picture_in_place(notebook):
    widgets.order_slider(noisy_probe())
    slider, first = notebook
    assert first.alt.startswith("Order 0:")
    slider.value = 12
    assert len(notebook) == 3 and notebook[-1].alt.startswith("Order 12:")
    assert slider.max == 29


def neighbours(*nearest: str) -> Neighbours:
    return Neighbours([[token, "other"] for token in nearest], torch.tensor([[0.9, 0.4]] * 3))


def attention() -> AnswerAttention:
    shares = np.random.default_rng(0).dirichlet(np.ones(2), size=(3, 2))  # (layers, heads, T)
    return AnswerAttention([("e1", None, "soft"), ("good", 5, "word")], 1, shares)


def test_the_length_slider_holds_each_length_against_the_others(notebook):
    random = np.random.default_rng(0)
    rows = [
        {"setting": length, "seed": seed, "correct": as_digits(random.random(50) < 0.7)}
        for length in ("20", "5", "100")
        for seed in range(2)
    ]
    widgets.length_slider({"rows": rows})
    slider, first = notebook
    assert slider.options == ("5", "20", "100")
    assert first.figure.get_suptitle().startswith("Length 20 ")
    slider.value = "100"
    data, about = notebook[-1]._repr_mimebundle_()
    assert about["image/png"]["alt"].startswith("Length 100 ")
    assert base64.b64decode(data["image/png"]) == notebook[-1].figure.png()


def test_the_slider_over_virtual_tokens_shows_the_neighbours_of_each(notebook):
    widgets.nearest_slider({"trained": neighbours("a", "b", "c")})
    slider, first = notebook
    assert (slider.min, slider.max, first.alt[:20]) == (1, 3, "e1 is nearest to “a”")
    slider.value = 3
    assert notebook[-1].alt.startswith("e3 is nearest to “c”")


def test_the_attention_lists_go_through_layers_and_heads(notebook):
    looks = {"trained": attention()}
    widgets.attention_chooser(looks)
    layer, head, first = notebook
    assert first == attention_map(looks)
    layer.value = 2
    assert notebook[-1] == attention_map(looks, layer=2)
    head.value = 1
    assert notebook[-1] == attention_map(looks, layer=2, head=1)
    layer.value = None
    assert notebook[-1] == attention_map(looks, head=1)
    assert (len(layer.options), len(head.options), len(notebook)) == (4, 3, 6)


def test_tags_that_are_dragged_redraw_and_a_token_taken_away_is_asked_back(notebook):
    orders = {"in order": [0, 1, 2], "reversed": [2, 1, 0]}
    widgets.token_sorter(lambda order: f"order {order}", orders)
    panel, first = notebook
    box, tags, message = panel.children
    assert first == "order [0, 1, 2]"
    tags.value = ["1", "0", "2"]
    assert notebook[-1] == "order [1, 0, 2]"
    tags.value = ["1", "2"]
    assert message.value == "Missing: type 0 to put it back." and len(notebook) == 3
    box.value = "reversed"
    assert notebook[-1] == "order [2, 1, 0]" and tags.value == ["2", "1", "0"]


def test_the_labels_of_widgets_are_in_the_reader_s_language(notebook, monkeypatch):
    monkeypatch.setenv("LABKIT_LANG", "zh")
    widgets.token_sorter(lambda order: f"order {order}", {"reversed": [1, 0], "mine": [0, 1]})
    box, tags, message = notebook[0].children
    assert box.description == "顺序" and box.options == (("倒过来", "reversed"), ("mine", "mine"))
    assert message.value == "把一个词元拖到别的位置。"
    tags.value = ["0"]
    assert message.value == "缺少词元：输入 1 把它放回去。"
    box.value = "mine"
    assert notebook[-1] == "order [0, 1]"
    widgets.attention_chooser({"trained": attention()})
    layer, head, first = notebook[-3:]
    assert (layer.description, head.description) == ("层", "头")
    assert layer.options[0] == ("全部 3 个的平均", None)
    assert first.alt.startswith("答案位置看得最多的是 ") and "训练后：第一个位置 " in first.alt
    widgets.review_box(score, "a good film")
    assert notebook[-2].children[0].placeholder == "输入一条影评，按回车键"


def test_two_lists_choose_an_exchange(notebook):
    changes = PairChanges([(0, 1), (0, 2), (1, 2)], [-0.1, 0.2, 0.05], [-0.2, 0.1, 0.3])
    widgets.exchange_chooser(changes)
    one, other, first = notebook
    assert first.alt.startswith("Places 0 and 2 exchanged: +0.200")
    other.value = 1
    assert notebook[-1].alt.startswith("Places 0 and 1 exchanged: -0.100")
    one.value = 2
    assert notebook[-1].alt.startswith("Places 2 and 1 exchanged: +0.050")


def test_any_printed_table_is_recomputed_with_any_test_set(notebook):
    widgets.table_recomputer([8, 4], {"RTE": {"rte": 277}, "MRPC": {"mrpc": 408}})
    table, size, first = notebook
    assert first.alt.startswith("Table 8: 2 of 4 sums and means come out, 0 of 4 scores")
    size.value = "MRPC"
    assert "4 of 4 scores" in notebook[-1].alt
    table.value = 4
    assert notebook[-1].alt.startswith("Table 4:")


PLAY = """
import numpy as np, torch
from labkit.course.figures.attention import AnswerAttention
from labkit.course.interact.widgets import attention_chooser, nearest_slider, review_box
from labkit.soft_prompt import Neighbours
review_box(lambda text: {'soft': {'negative': 0.1, 'positive': 0.9}}, 'a good film')
nearest_slider({"trained": Neighbours([["good"]], torch.tensor([[0.9]]))})
pieces = [("e1", None, "soft"), ("good", 5, "word")]
attention_chooser({"trained": AnswerAttention(pieces, 1, np.full((3, 2, 2), 0.5))})
"""


def test_widgets_leave_their_pictures_in_a_saved_notebook_and_nothing_else():
    notebook = run(PLAY)
    views = [output for output in notebook.cells[0].outputs if VIEW in output.data]
    assert len(views) == 4  # live, they are there: a box, a slider and two lists,
    assert notebook.metadata.widgets  # with their state
    strip_widgets(notebook)
    nbformat.validate(notebook)
    assert "jupyter.widget" not in nbformat.writes(notebook)
    assert "widgets" not in notebook.metadata
    review, nearest, attention = notebook.cells[0].outputs
    assert base64.b64decode(review.data["image/png"]).startswith(b"\x89PNG")
    assert nearest.data["text/html"].startswith("<img alt=")
    assert "e1 is nearest to “good”" in nearest.data["text/plain"]
    assert "The answer slot looks most at e1" in attention.data["text/plain"]
