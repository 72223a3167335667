"""Predict, then run: what is kept, in which order, how it is scored, and what marks say of it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from conftest import ROOT
from labkit.core.errors import LabError
from labkit.course.interact import predictions
from labkit.course.interact.predictions import (
    FILE,
    OUTCOME,
    QUESTIONS,
    Prediction,
    calibration,
    outcome,
    predict,
)
from labkit.course.language import chinese
from labkit.course.marking.predicted import Predicted, committed, only_predicts, predicted
from labkit.course.marking.submissions import restored, submitted_cells

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST, SECOND, OF_TWENTY = "spread of wordings", "soft over hard", "neighbours kept"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, and a session that has shown nothing yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predictions, "_shown_here", {})
    return tmp_path


def restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "_shown_here", {})


# ---------------------------------------------------------------------------------------- scoring


def test_the_interval_score_rewards_honest_ranges() -> None:
    # It is proper: of all ranges, the one between the 10 % and 90 % points has the best mean score.
    values = [i / 1000 for i in range(1001)]  # a number that may be anywhere, evenly
    question = QUESTIONS[FIRST]

    def mean(low: float, high: float) -> float:
        return sum(Prediction(0.5, low, high).score(v, question) for v in values) / len(values)

    honest = mean(0.1, 0.9)
    assert all(honest < mean(*other) for other in [(0.2, 0.8), (0, 1), (0.1, 0.8), (0.3, 0.9)])
    assert mean(0, 1) == pytest.approx(1)  # to say nothing


def test_a_miss_costs_ten_times_its_distance_as_a_share_of_what_is_possible() -> None:
    each = Prediction(6, 5, 8)
    assert each.score(7, QUESTIONS[OF_TWENTY]) == pytest.approx(3 / 20)
    assert each.score(10, QUESTIONS[OF_TWENTY]) == pytest.approx((3 + 10 * 2) / 20)
    assert each.score(4, QUESTIONS[OF_TWENTY]) == pytest.approx((3 + 10 * 1) / 20)


# ----------------------------------------------------------------------------------- the reader's


def test_dots_commit_nothing_and_leave_no_file(folder: Path, capsys) -> None:
    predict(FIRST, guess=..., low=..., high=...)
    assert "no prediction yet" in capsys.readouterr().out
    assert repr(outcome(FIRST, 0.27)) == f"{FIRST}: 0.27\nnothing was predicted"
    assert calibration() is None
    assert "no range has met its number" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_a_number_counts_as_it_was_shown_first(folder: Path) -> None:
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    assert "holds it" in repr(outcome(FIRST, 0.25))
    again = repr(outcome(FIRST, 0.5))  # a run with other draws
    assert "holds it" in again and "1 of 1 ranges hold" in again


def test_a_prediction_may_change_until_its_number_is_shown(folder: Path, capsys) -> None:
    predict(FIRST, guess=0.5, low=0.4, high=0.6)
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    assert "holds it: score 0.2\n" in repr(outcome(FIRST, 0.27))
    predict(FIRST, guess=0.27, low=0.27, high=0.27)
    assert "what you predicted before that counts" in capsys.readouterr().out
    assert "holds it: score 0.2\n" in repr(outcome(FIRST, 0.27))
    predict(FIRST, guess=0.3, low=0.2, high=0.4)  # the cells run again
    assert "committed: 0.3, between 0.2 and 0.4" in capsys.readouterr().out
    assert len((folder / FILE).read_text().splitlines()) == 3


def test_a_prediction_after_its_number_is_told_apart(monkeypatch, capsys) -> None:
    outcome(FIRST, 0.27)
    predict(FIRST, guess=0.27, low=0.26, high=0.28)
    assert "its number was shown before you predicted it" in capsys.readouterr().out
    restart(monkeypatch)
    predict(FIRST, guess=0.27, low=0.27, high=0.28)
    assert "not scored" in repr(outcome(FIRST, 0.27))
    assert calibration() is None


def test_notebooks_are_opened_in_any_order_and_again(monkeypatch) -> None:
    predict(OF_TWENTY, guess=6, low=5, high=8)
    assert "misses it by 12: score 6.2\n0 of 1 ranges" in repr(outcome(OF_TWENTY, 20))
    restart(monkeypatch)
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    restart(monkeypatch)
    assert "1 of 2 ranges hold their number" in repr(outcome(FIRST, 0.27))
    predict(OF_TWENTY, guess=..., low=..., high=...)  # a fresh copy of the notebook
    assert "misses it" in repr(outcome(OF_TWENTY, 20))
    figure = calibration()
    assert "1 of 2 ranges hold" in figure.alt
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert named == [FIRST, OF_TWENTY]  # in the order of the course
    (held, _), (missed, _) = pairwise(figure.axes[0].lines[i] for i in (0, 2, 4))
    assert list(held.get_xdata()) == pytest.approx([0.2 - 0.27, 0.4 - 0.27])
    assert list(missed.get_xdata()) == pytest.approx([-15 / 20, -12 / 20])


def test_a_folder_of_translated_notebooks_shares_the_file(folder: Path, monkeypatch) -> None:
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    (folder / "zh").mkdir()
    monkeypatch.chdir(folder / "zh")
    assert "holds it" in repr(outcome(FIRST, 0.27))
    assert list((folder / "zh").iterdir()) == []


def test_a_master_that_is_executed_predicts_nothing(folder: Path, monkeypatch) -> None:
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    before = (folder / FILE).read_text()
    monkeypatch.setenv("LABKIT_RECORD", "1")
    assert "nothing was predicted" in repr(outcome(FIRST, 0.27))
    predict(SECOND, guess=0.3, low=0.2, high=0.4)
    assert (folder / FILE).read_text() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guess": 0.3}, "low=... is no number"),
        ({"guess": "0.3", "low": 0.2, "high": 0.4}, "guess='0.3' is no number"),
        ({"guess": True, "low": 0.2, "high": 0.4}, "guess=True is no number"),
        ({"guess": 0.3, "low": float("nan"), "high": 0.4}, "low=nan is no number"),
        ({"guess": 30, "low": 20, "high": 40}, "guess=30 can't be: choose from 0 to 1"),
        ({"guess": 0.3, "low": 0.4, "high": 0.2}, "0.3 does not lie between 0.4 and 0.2"),
        ({"guess": 0.5, "low": 0.2, "high": 0.4}, "0.5 does not lie between 0.2 and 0.4"),
    ],
)
def test_what_is_no_prediction_is_refused_and_nothing_lost(folder: Path, given, message) -> None:
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    before = (folder / FILE).read_text()
    with pytest.raises(LabError) as refused:
        predict(FIRST, **given)
    assert str(refused.value).startswith(f"{FIRST}: {message}")
    assert (folder / FILE).read_text() == before
    with pytest.raises(LabError, match=f"did you mean '{FIRST}'"):
        predict("spread of wording", guess=0.3, low=0.2, high=0.4)


@pytest.mark.parametrize("line", ["{", "[]", '{"shown": "no such", "value": 1}', '{"predict": 1}'])
def test_a_damaged_line_is_named(folder: Path, line: str) -> None:
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    with (folder / FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(LabError, match=f"{FILE}, line 2, can't be read; delete this line"):
        outcome(FIRST, 0.27)


def test_it_speaks_chinese_too(monkeypatch, capsys) -> None:
    monkeypatch.setenv("LABKIT_LANG", "zh")
    predict(FIRST, guess=0.3, low=0.2, high=0.4)
    lines = [*capsys.readouterr().out.splitlines(), *repr(outcome(FIRST, 0.5)).splitlines()[1:]]
    lines += [chinese(question.asks) for question in QUESTIONS.values()]
    for words in lines:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words), words


# ------------------------------------------------------------------------------------------ marks

GIVEN = f"from labkit import predict\n\npredict({FIRST!r}, guess=..., low=..., high=...)"
TYPED = GIVEN.replace("guess=..., low=..., high=...", "guess=0.3, low=.2, high=0.4")


def test_predictions_are_read_and_not_run() -> None:
    sources = [
        TYPED,
        f"predict({SECOND!r}, guess=-0.1, low=-0.2, high=5)",  # out of what is possible
        f"predict({OF_TWENTY!r}, guess=1, low=0, high=2)",
        f"predict({OF_TWENTY!r}, guess=2, low=0, high=int(input()))",
        f"predict({OF_TWENTY!r}, guess=3, low=0, high=4)",
        "predict(",
    ]
    assert committed(sources) == {FIRST: (0.3, 0.2, 0.4), OF_TWENTY: (3, 0, 4)}
    assert only_predicts(TYPED) and only_predicts(GIVEN)
    for source in (sources[3], "", "x = 1", f"{TYPED}\nhelper = 2", "predict("):
        assert not only_predicts(source)


def course(*outputs: dict) -> nbformat.NotebookNode:
    cells = [v4.new_code_cell(GIVEN, id="one"), v4.new_code_cell("show()", id="two")]
    cells[1].outputs = [
        v4.new_output("execute_result", {"text/plain": ""}, metadata={OUTCOME: each})
        for each in outputs
    ]
    return v4.new_notebook(cells=cells)


def test_marks_count_ranges_by_the_masters_numbers(tmp_path: Path) -> None:
    master = course({"name": FIRST, "value": 0.27}, {"name": SECOND, "value": 0.01})
    handed_in = course()
    handed_in.cells[0].source = TYPED
    nbformat.write(handed_in, tmp_path / "in.ipynb")
    cells = submitted_cells(tmp_path / "in.ipynb")
    assert predicted(cells, master) == Predicted(asked=2, committed=1, held=1)
    missed = [{"kind": "code", "source": TYPED.replace(".2,", ".28,")}]
    assert predicted(missed, master) == Predicted(asked=2, committed=1, held=0)
    both = Predicted.total([Predicted(2, 1, 1), Predicted(1, 1, 0)])
    assert str(both) == "2 of 3 committed, 1 hold"
    assert str(Predicted.total([])) == str(predicted(cells, course())) == ""
    # what was typed is no code of the student's own, for which the whole notebook would be run
    assert restored(course(), cells).cells[0] == course().cells[0]


# -------------------------------------------------------------------------------------- notebooks


def test_every_question_is_asked_before_its_number_and_once() -> None:
    asked: dict[str, list[str]] = {path.stem: [] for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        events = []
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and only_predicts(cell.source):
                assert committed([cell.source]) == {}  # a master predicts nothing
                events += [("predict", name) for name in QUESTIONS if repr_in(name, cell.source)]
            for output in cell.get("outputs", []):
                if OUTCOME in output.get("metadata", {}):
                    shown = output.metadata[OUTCOME]
                    question = QUESTIONS[shown["name"]]
                    assert question.least <= shown["value"] <= question.most
                    assert "nbval-ignore-output" in cell.metadata.tags
                    events.append(("outcome", shown["name"]))
        names = [name for kind, name in events if kind == "predict"]
        for name in names:
            assert events.index(("predict", name)) < events.index(("outcome", name))
        assert len(events) == 2 * len(names)
        asked[path.stem] = names
    assert [name for names in asked.values() for name in names] == list(QUESTIONS)
    assert all(QUESTIONS[name].notebook == stem for stem, names in asked.items() for name in names)


def repr_in(name: str, source: str) -> bool:
    return json.dumps(name) in source
