"""The students' skeletons: current, empty, marked rightly; and what proves it would notice."""

from __future__ import annotations

import functools
import importlib
import math
import sys
import threading
from pathlib import Path
from typing import get_type_hints

import nbformat
import numpy as np
import pytest
import torch
import transformers
from nbformat import v4
from torch.nn import functional as F

from conftest import ROOT
from labkit.core import assets
from labkit.core.errors import LabError
from labkit.course.exercises import checks, plans
from labkit.course.exercises.answers import passed
from labkit.course.exercises.cells import (
    ADDED,
    SKIPPABLE,
    exercises,
    is_by_hand,
    is_lab,
    read,
    read_answers,
    to_run,
    unsolved_cells,
)
from labkit.course.exercises.kinds import as_kind
from labkit.course.exercises.stand_ins import STAND_INS, solved
from labkit.course.marking import proofs
from labkit.course.marking import skeletons as assignments
from labkit.position_enhancement import sinusoids
from labkit.soft_prompt import SoftPrompt, nearest_tokens

MASTERS = assignments.masters(ROOT)
RIGHT = ROOT / "tests" / "right_solutions"
each_master = pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)


@functools.cache
def runner(path: Path) -> proofs.Runner:
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    return proofs.Runner(read(path))


# ---- what stands in the folder ----


def test_every_check_of_the_contract_holds() -> None:
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    found = list(proofs.check(ROOT))
    assert len(found) == 1 + 4 * len(MASTERS)
    assert [line for finding in found if not finding.ok for line in finding.lines()] == []


def test_a_build_writes_the_same_bytes_and_removes_what_has_no_master(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    for path in MASTERS:
        (tmp_path / "notebooks" / path.name).write_bytes(path.read_bytes())
    first = {path.name: path.read_bytes() for path in assignments.build(tmp_path)}
    (tmp_path / "assignments" / "00_gone.ipynb").write_text("{}")
    assert {path.name: path.read_bytes() for path in assignments.build(tmp_path)} == first
    assert sorted(first) == sorted(p.name for p in (tmp_path / "assignments").iterdir())


@pytest.mark.parametrize(
    "work", ["a cell that was run", "code", "below the line", "a text", "notes of one's own"]
)
def test_a_build_takes_nobodys_work_away(tmp_path: Path, work: str) -> None:
    """Whoever worked in the skeletons of a clone keeps what is there, and is told."""
    (tmp_path / "notebooks").mkdir()
    master = MASTERS[0]
    (tmp_path / "notebooks" / master.name).write_bytes(master.read_bytes())
    (skeleton,) = assignments.build(tmp_path)
    notebook = nbformat.read(skeleton, as_version=4)
    written = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")]
    file = skeleton
    if work == "a cell that was run":
        next(c for c in notebook.cells if c.cell_type == "code").execution_count = 1
    elif work == "notes of one's own":
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[])])
        notebook.cells[0].execution_count = 3
        file = skeleton.with_name("notes.ipynb")
    elif work == "below the line":
        next(c for c in written if c.cell_type == "code").source += "\n    return 1"
    else:
        kind = "code" if work == "code" else "markdown"
        next(c for c in written if c.cell_type == kind).source = "answer = 1"
    nbformat.write(notebook, file)
    before = {path.name: path.read_bytes() for path in skeleton.parent.iterdir()}
    with pytest.raises(LabError, match=rf"{file.name} holds answers or cells that were run"):
        assignments.build(tmp_path)
    assert {path.name: path.read_bytes() for path in skeleton.parent.iterdir()} == before
    file.rename(tmp_path / "mine.ipynb")
    assert assignments.build(tmp_path) == [skeleton]


NO_NOTEBOOKS = {
    "cut": "{",
    "a list": "[]",
    "empty": "",
    "without cells": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "of an old format": '{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}',
    "brackets without end": 10**5 * "[",
}


@pytest.mark.parametrize("case", NO_NOTEBOOKS)
def test_a_master_that_is_no_notebook_is_named(tmp_path: Path, case: str) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "10_mine.ipynb").write_text(NO_NOTEBOOKS[case])
    with pytest.raises(LabError, match=r"10_mine\.ipynb is no notebook") as caught:
        assignments.build(tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "assignments").exists()


def test_a_master_need_not_name_its_kernel(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    nbformat.write(bare, tmp_path / "notebooks" / "10_mine.ipynb")
    (skeleton,) = assignments.build(tmp_path)
    assert nbformat.read(skeleton, as_version=4).metadata.kernelspec.name == "python3"


def test_an_edited_skeleton_is_not_current(tmp_path: Path) -> None:
    current = {"01.ipynb": "as it should be\n", "02.ipynb": "missing\n"}
    (tmp_path / "assignments").mkdir()
    (tmp_path / "assignments" / "01.ipynb").write_text("edited\n")
    (tmp_path / "assignments" / "09.ipynb").write_text("left over\n")
    stale = proofs._stale(tmp_path, current)
    assert [line.partition(":")[0] for line in stale] == ["01.ipynb", "02.ipynb", "09.ipynb"]


def test_a_folder_without_masters_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="holds no notebooks"):
        assignments.build(tmp_path)


@each_master
def test_a_notebook_has_exercises_as_the_contract_wants_them(path: Path) -> None:
    master = read(path)
    found = exercises(master)
    by_hand = sum(is_by_hand(cell) for cell in master.cells)
    if is_lab(path.stem):
        assert found and by_hand, "what is built is checked, and what is claimed is read"
    else:
        assert 3 <= len(found) <= 6
        assert by_hand == 1
    for exercise in found:
        tests = "\n".join(cell.source for cell in exercise.tests)
        assert "### BEGIN SOLUTION" in exercise.solution.source, exercise.name
        assert "checks.check_" in tests and "### BEGIN HIDDEN TESTS" in tests, exercise.name
        place = next(i for i, cell in enumerate(master.cells) if cell is exercise.solution)
        assert master.cells[place - 1].source.count("<details>") == 2, f"{exercise.name}: two hints"


@each_master
def test_a_skeleton_opens_and_goes_on_after_an_unsolved_exercise(path: Path) -> None:
    skeleton = read(ROOT / "assignments" / path.name)
    nbformat.validate(skeleton)
    assert skeleton.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in skeleton.cells] == [cell.id for cell in read(path).cells]
    for exercise in exercises(skeleton):
        for cell in exercise.tests:
            assert "raises-exception" in cell.metadata.tags, "Run All Cells would stop here"
            assert not cell.metadata.editable and not cell.metadata.deletable


# ---- solution text that is left is found, wherever it hides ----

SECRET = "    total = sum(value * weight for value, weight in pairs)"
SOURCE = (
    f"def mean(pairs):\n    ### BEGIN SOLUTION\n{SECRET}\n    return total\n    ### END SOLUTION"
)


def little_master() -> nbformat.NotebookNode:
    cell = v4.new_code_cell(SOURCE)
    cell.metadata["nbgrader"] = {"solution": True, "grade": False, "grade_id": "ex1-solution"}
    return v4.new_notebook(cells=[cell])


def planted(where: str) -> nbformat.NotebookNode:
    cell = v4.new_code_cell("def mean(pairs):\n    raise NotImplementedError()")
    skeleton = v4.new_notebook(cells=[cell, v4.new_markdown_cell("Take the mean.")])
    match where:
        case "code":
            cell.source += f"\n# {SECRET.strip()}"
        case "text":
            skeleton.cells[1].source += f"\n`{SECRET.strip()}`"
        case "reindented":
            cell.source += "\n" + SECRET.replace("for", "  for")
        case "output":
            cell.outputs = [v4.new_output("stream", text=SECRET)]
        case "attachment":
            skeleton.cells[1].attachments = {"a.txt": {"text/plain": SECRET}}
        case "cell metadata":
            cell.metadata["jupyter"] = {"source_hidden": True, "was": SECRET}
        case "metadata key":
            skeleton.metadata[SECRET] = 1
        case "marks":
            cell.source += "\n### END SOLUTION"
        case "folded":
            cell.metadata["jupyter"] = {"source_hidden": True}
    return skeleton


def test_a_clean_skeleton_has_no_leak() -> None:
    assert proofs.leaks(little_master(), planted("nowhere")) == []


@pytest.mark.parametrize(
    "where",
    [
        "code",
        "text",
        "reindented",
        "output",
        "attachment",
        "cell metadata",
        "metadata key",
        "marks",
        "folded",
    ],
)
def test_a_leak_is_found(where: str) -> None:
    assert proofs.leaks(little_master(), planted(where))


def test_hidden_tests_and_written_answers_count_as_solutions() -> None:
    tests = v4.new_code_cell(
        "visible(answer)\n### BEGIN HIDDEN TESTS\nassert answer(31) == 1027, 'no'\n"
        "### END HIDDEN TESTS\nprint('done with this one cell')"
    )
    essay = v4.new_markdown_cell("Paired differences decide here. Not two separate intervals.")
    essay.metadata["nbgrader"] = {"solution": True, "grade": True, "grade_id": "ex2-answer"}
    assert proofs.solution_lines(tests) == ["assert answer(31) == 1027, 'no'"]
    assert len(proofs.solution_lines(essay)) == 2
    assert proofs.visible(tests) == "visible(answer)\nprint('done with this one cell')"


# ---- answers ----


@each_master
def test_two_other_right_solutions_pass_each_check(path: Path) -> None:
    course, answers = runner(path), read_answers(RIGHT / path.stem)
    for exercise in course.exercises.values():
        assert len(answers.get(exercise.name, {})) >= 2, exercise.name
        for name, source in answers[exercise.name].items():
            errors = course.try_answer(exercise, source, [cell.source for cell in exercise.tests])
            assert errors == [None] * len(errors), f"{exercise.name}/{name}"


def test_the_check_of_wrong_solutions_notices_what_is_wrong_with_them() -> None:
    course = runner(ROOT / "notebooks" / "01_hard_prompt.ipynb")
    wrong = read_answers(ROOT / "tests/wrong_solutions/01_hard_prompt")
    right = read_answers(RIGHT / "01_hard_prompt")
    fill = wrong["ex3"]
    wrong["ex1"] = {}
    wrong["ex3"] = {
        "right after all": "# hint: a slot is left\n" + right["ex3"]["index"],
        "other hint": fill["slot_left"].replace("a slot is left", "replace the text last"),
        "fine": fill["space_left"],
    }
    wrong["ex9"] = {"x": "# hint: y\n"}
    found = proofs.wrong_hints(course, wrong)
    assert [line.partition(":")[0] for line in found] == [
        "ex1",
        "ex3/right after all",
        "ex3/other hint",
        "wrong solutions for ex9, which is no exercise",
    ]
    with pytest.raises(LabError, match="begins with the line"):
        proofs.expected_hint("x = 1")


def borrowed(table, vectors, k):
    return nearest_tokens(table, vectors, k)


def by_import(table, vectors, k):
    from labkit.soft_prompt import nearest_tokens as near

    return near(table, vectors, k)


def helper(*inputs):
    return borrowed(*inputs)


def by_helper(*inputs):
    return helper(*inputs)


class Borrowed(SoftPrompt):
    def __init__(self, *inputs):
        super().__init__(inputs[0])


class Method:
    @staticmethod
    def work(*inputs):
        return nearest_tokens(*inputs)


def by_closure(function=None):
    inner = function or nearest_tokens
    return lambda *inputs: inner(*inputs)


class Object:
    def __call__(self, *inputs):
        return WORKERS["nearest"](*inputs)


WORKERS = {"nearest": nearest_tokens}


def by_name(*inputs):
    return getattr(sys.modules["lab" + "kit.soft_prompt"], "nearest" + "_tokens")(*inputs)


def by_importlib(*inputs):
    return importlib.import_module("labkit.soft_prompt").nearest_tokens(*inputs)


@functools.cache
def cached():
    return nearest_tokens


def by_cache(*inputs):
    return cached()(*inputs)


def decorated(function):
    return lambda *inputs: function(nearest_tokens(*inputs))


@decorated
def by_decorator(result):
    return result


def by_thread(*inputs):
    results = []
    worker = threading.Thread(target=lambda: results.append(sinusoids(5, 2)))
    worker.start()
    worker.join()
    return results[0]


def own(table, vectors, k):
    """Names what labkit has too, and knows it without running it."""
    nearest_tokens = F.normalize(vectors, dim=-1) @ F.normalize(table, dim=-1).T
    assert callable(WORKERS["nearest"])
    return nearest_tokens.topk(k).indices


@pytest.mark.parametrize(
    "answer",
    [
        nearest_tokens,
        borrowed,
        by_import,
        by_helper,
        by_closure(),
        functools.partial(nearest_tokens),
        Borrowed,
        Method.work,
        Method().work,
        Object(),
        by_name,
        by_importlib,
        by_cache,
        by_decorator,
        by_thread,
    ],
)
def test_an_answer_that_hands_the_work_to_labkit_is_refused(answer) -> None:
    with pytest.raises(AssertionError, match="hands the work to labkit"):
        checks.check_nearest(answer)


def test_an_answer_of_ones_own_is_not_refused() -> None:
    checks.check_nearest(own)


def test_an_empty_answer_is_told_so() -> None:
    def fill(template, text):
        raise NotImplementedError()

    with pytest.raises(AssertionError, match="fill is still empty"):
        checks.check_fill(fill)


def test_the_library_stands_in_until_the_check_passes(capsys) -> None:
    def right(template, text):
        return template.partition("{mask}")[0].removesuffix(" ").replace("{text}", text)

    passed.pop("fill", None)
    assert solved("fill") is STAND_INS["fill"]
    assert "fill: its check has not passed yet, so the library's" in capsys.readouterr().out
    checks.check_fill(right)
    capsys.readouterr()
    assert solved("fill").__wrapped__ is right
    assert capsys.readouterr().out == ""
    with pytest.raises(AssertionError):
        checks.check_fill(lambda template, text: text)
    assert solved("fill") is STAND_INS["fill"]
    with pytest.raises(LabError, match="nothing stands in"):
        solved("no_such_exercise")


def numpy_scores(logits, mask, labels):
    rows = logits.numpy().astype(float)[np.arange(len(mask)), mask.sum(1).numpy() - 1]
    return (rows - np.log(np.exp(rows).sum(1, keepdims=True)))[:, labels]


def listed_sinusoids(length, width):
    return [
        [(math.cos if c % 2 else math.sin)(p / 10_000 ** (c / width)) for c in range(width)]
        for p in range(length)
    ]


def numpy_start(table, length, common, seed):
    return table.numpy()[np.random.default_rng(seed).permutation(common)[:length]]


def numpy_average(prompts, similarities, k):
    best = np.argsort(similarities)[::-1][:k]
    return np.average(np.stack(prompts), 0, np.isin(np.arange(len(prompts)), best) * similarities)


@pytest.mark.parametrize(
    ("answer", "check", "args"),
    [
        (numpy_scores, "score_batch", (torch.randn(2, 3, 4), torch.ones(2, 3).long(), [1, 2])),
        (listed_sinusoids, "sinusoids", (4, 6)),
        (numpy_start, "sample_init", (torch.randn(9, 2), 3, 6, 0)),
        (numpy_average, "average_start", ([torch.randn(3, 2)] * 3, [0.1, 0.3, 0.2], 2)),
    ],
)
def test_later_cells_get_results_in_the_type_that_is_asked_for(answer, check, args) -> None:
    """A check takes arrays and lists for tensors; arithmetic and models after it do not."""
    getattr(checks, f"check_{check}")(answer)
    result, library = solved(check)(*args), STAND_INS[check](*args)
    assert isinstance(result, torch.Tensor) and result.shape == library.shape
    assert result.dtype == library.dtype == torch.float32


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (torch.tensor([2, 3]), list[int], [2, 3]),
        (np.array([[0, 1], [2, 0]]), list[tuple[int, int]], [(0, 1), (2, 0)]),
        ([0.5, np.float64(1)], tuple[float, float], (0.5, 1.0)),
        (torch.tensor(0.25), float, 0.25),
        ({"a": [[0, "x"]]}, dict[str, list[tuple[int, str]]], {"a": [(0, "x")]}),
        (np.bool_(True), bool, True),
        (None, type(None), None),
    ],
)
def test_a_result_is_read_as_its_annotation_says(value, kind, expected) -> None:
    read_as = as_kind(value, kind)
    assert read_as == expected and repr(read_as) == repr(expected)


def test_a_list_of_tensors_keeps_its_gradient() -> None:
    row = torch.ones(2, requires_grad=True)
    as_kind([row, 2 * row], torch.Tensor).sum().backward()
    assert row.grad.tolist() == [3.0, 3.0]
    assert as_kind([True, False], np.ndarray).dtype == bool


def test_every_stand_in_says_what_it_returns() -> None:
    """`solved` gives an answer's results that type."""
    for name, function in STAND_INS.items():
        assert isinstance(function, type) or "return" in get_type_hints(function), name


def test_what_stands_in_does_what_the_exercise_asks() -> None:
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets.locate("smollm2"))
    extra = {"label_ids": (tokenizer,), "plan_lock": (lambda: dict(plans.EXAMPLE),)}
    for name, function in STAND_INS.items():
        examine = getattr(checks, f"check_{name}")
        with pytest.raises(AssertionError, match="hands the work to labkit"):
            examine(function, *extra.get(name, ()))
        examine.of_library(function, *extra.get(name, ()))


# ---- what runs when exercises are marked ----


def given(source: str, *tags: str, **metadata: object) -> nbformat.NotebookNode:
    return v4.new_code_cell(source, metadata={"tags": list(tags), **metadata})


def test_of_a_skippable_cell_only_the_imports_run() -> None:
    cells = [
        given(
            "import math\nfrom os import (\n    times,  # how long\n    path,\n)\nslow()", SKIPPABLE
        ),
        v4.new_markdown_cell("text"),
        given("slow()", SKIPPABLE),
        given("scale = math.pi"),
    ]
    assert to_run(cells) == {0: "import math\nfrom os import times, path", 3: "scale = math.pi"}
    whole = {i: cell.source for i, cell in enumerate(cells) if cell.cell_type == "code"}
    assert to_run(cells, skipping=False) == whole


def test_what_is_the_students_own_runs_whole() -> None:
    """Whatever it does to what: no statement of it is dropped, and a magic stays one."""
    own = "!ls\nheap = []\npush(heap, 3)\nglobals()['x'] = 1"
    for mark in ("added", "edited"):
        assert to_run([given(own, SKIPPABLE, **{mark: True})]) == {0: own}
    assert ADDED == "added"
    broken = v4.new_code_cell("x = (")
    assert to_run([broken]) == {0: "x = ("}


def test_given_cells_that_call_an_answer_are_known() -> None:
    cells = [
        v4.new_code_cell("import random\n\n\ndef f(x):\n    pass"),
        v4.new_code_cell("own = solved('f')(1)\nrandom.seed(0)"),
        v4.new_code_cell("y = f(1)"),
        v4.new_code_cell("print(y)"),
        v4.new_code_cell("y = 1"),
        v4.new_code_cell("print(y)"),
    ]
    cells[0].metadata["nbgrader"] = {"solution": True, "grade": False, "grade_id": "ex1-solution"}
    assert unsolved_cells(cells) == {2, 3}


def test_every_check_of_an_exercise_is_marked_as_one() -> None:
    """The decorator refuses answers that hand the work to labkit, and knows who has passed."""
    found = {name: value for name, value in vars(checks).items() if name.startswith("check_")}
    plain = [name for name, value in found.items() if not hasattr(value, "__wrapped__")]
    assert found and not plain, f"@exercise is missing on {plain}"
