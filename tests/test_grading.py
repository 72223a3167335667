"""Marks: honest submissions get theirs, and hostile ones cost nobody else anything.

The course marked here is the one of little_course.py; what the course's own notebooks earn is in
test_nbgrader_course.py.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from labkit import cli
from labkit.core.errors import LabError
from labkit.course.exercises.cells import EDITED
from labkit.course.marking import gradebook, running, sandbox, skeletons, submissions
from labkit.course.marking.sandbox import Cell, Limits, isolates, run_cells
from little_course import (
    CHECK_TWICE,
    LIMITS,
    NAME,
    TWICE,
    WRONG,
    body,
    drop,
    edit,
    grade,
    hand_in,
    leaves_before_twice,
    make_course,
    master,
    no_metadata,
    other_kernel,
    own_cells,
    submission,
    twin,
)

FORGE = "from IPython import get_ipython\nget_ipython().displayhook(1.0)"
SWALLOW = (
    "from IPython import get_ipython\n"
    "get_ipython().set_custom_exc((AssertionError,), lambda *a, **k: None)\n" + WRONG
)
STEAL = """import json
    for cell in json.load(open({path!r}))['cells']:
        source = ''.join(cell['source'])
        if 'BEGIN SOLUTION' in source and 'twice' in source:
            names = {{}}
            exec(source, names)
            return names['twice'](x)"""


def insert(place: int, *sources: str) -> Callable[[nbformat.NotebookNode], None]:
    """Cells of the student's own before the one at a place."""

    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[place:place] = [v4.new_code_cell(source) for source in sources]

    return change


def split(notebook: nbformat.NotebookNode) -> None:
    """The answer in two cells, both with the metadata, as JupyterLab splits one."""
    first, second = notebook.cells[1].copy(), notebook.cells[1].copy()
    first["source"], second["source"] = (
        "def half(x):\n    return x",
        "def twice(x):\n    return 2 * half(x)",
    )
    second["id"] = "new"
    notebook.cells[1:2] = [first, second]


def split_off(notebook: nbformat.NotebookNode) -> None:
    """The same, and the second part has lost its metadata."""
    split(notebook)
    notebook.cells[2]["metadata"] = {}


def sketch_below(notebook: nbformat.NotebookNode) -> None:
    """A copy of the answer below its check, half changed."""
    copy = notebook.cells[1].copy()
    copy["source"] = "def twice(x):\n    return None"
    notebook.cells.insert(3, copy)


def merged(notebook: nbformat.NotebookNode) -> None:
    """Both answers in one cell, as JupyterLab merges a selection: the first one's metadata stay."""
    first, second = (c for c in notebook.cells if c["id"] in ("ex1-solution", "ex2-solution"))
    first["source"] += "\n\n" + second["source"]
    notebook.cells.remove(second)


def merged_without_ids(notebook: nbformat.NotebookNode) -> None:
    """The same from an editor that knows no ids, below a cell that both answers rely on."""
    merged(notebook)
    notebook.cells[1]["source"] = notebook.cells[1]["source"].replace("2 * x", "two * x")
    notebook.cells.insert(1, v4.new_code_cell("two = 2"))
    no_ids(notebook)


def moved(notebook: nbformat.NotebookNode) -> None:
    """An answer bound in a cell of the student's own, behind a magic; its own cell is deleted."""
    notebook.cells[1] = v4.new_code_cell("%precision 3\nif True:\n    twice = lambda x: 2 * x")


def no_ids(notebook: nbformat.NotebookNode) -> None:
    """As an editor leaves it that knows neither ids nor nbgrader's metadata."""
    for cell in notebook.cells:
        cell["metadata"] = {}
        del cell["id"]


def essay_in_two(notebook: nbformat.NotebookNode) -> None:
    copy = notebook.cells[6].copy()
    copy["source"] = "And so it is."
    notebook.cells.append(copy)


HEAP = "def twice(x):\n    return heap[0] * x"
GLOBAL = "def twice(x):\n    return globals()['factors']['two'] * x"

# who: (file, points of ex1 of 1, points of ex2 of 2, words of the note at ex1)
SUBMISSIONS: dict[str, tuple[str | bytes, float, float, str]] = {
    "ann perfect": (submission(), 1, 2, ""),
    "bob half": (submission(WRONG), 0, 2, "twice(3) should be 6"),
    "visible case only": (submission("def twice(x):\n    return 6"), 0, 2, "twice(-4) should be"),
    "endless loop": (submission(body("while True:\n    pass")), 0, 2, "stopped after 3 s"),
    "loop that goes on": (
        submission(
            body(
                "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
            )
        ),
        0,
        2,
        "could not be stopped",
    ),
    "memory bomb": (
        submission(body("hoard = bytearray(4 * 10**9)")),
        0,
        2,
        "MemoryError",
    ),
    "leaves": (submission(body("import os\nos._exit(0)")), 0, 2, "the process ended"),
    "leaves politely": (submission(body("import sys\nsys.exit(0)")), 0, 2, "SystemExit"),
    "leaves in a cell of its own": (submission(change=leaves_before_twice), 1, 2, ""),
    "leaves the kernel behind": (submission(TWICE + "\nexit(keep_kernel=True)"), 1, 2, ""),
    "crash": (submission(body("import ctypes\nctypes.string_at(0)")), 0, 2, "the process ended"),
    "kills everything": (
        submission(body("import os\nos.kill(-1, 9)\nos.kill(os.getpid(), 9)")),
        0,
        2,
        "",
    ),
    "forks": (
        submission(body("import os, time\nfor _ in range(2000):\n    os.fork()")),
        0,
        2,
        "",
    ),
    "deleted tests": (submission(WRONG, change=drop("ex1-check", "ex2-check")), 0, 2, "twice(3)"),
    "edited test": (submission(WRONG, change=edit("ex1-check", "pass")), 0, 2, "twice(3)"),
    "deleted solution": (submission(change=drop("ex1-solution")), 0, 2, "NotImplementedError"),
    "same id twice": (submission(change=twin), 1, 2, ""),
    "no metadata": (submission(change=no_metadata), 1, 2, ""),
    "huge output": (submission(body("for _ in range(5):\n    print('x' * 10**6)")), 1, 2, ""),
    "other kernel": (submission(change=other_kernel), 1, 2, ""),
    "own cells": (
        submission("def twice(x):\n    return factor * x", change=own_cells),
        1,
        2,
        "",
    ),
    "edited a given cell": (submission(change=edit("given", "suffix = '?'")), 1, 0, ""),
    "socket": (
        submission(body("import socket\nsocket.create_connection(('127.0.0.1', 80), 1)")),
        0,
        2,
        "ConnectionRefusedError" if isolates() else "OSError",  # a network of its own, or none
    ),
    "warns": (submission(body("import warnings\nwarnings.warn('old')")), 1, 2, ""),
    "asks": (submission(body("input()")), 0, 2, "StdinNotImplementedError"),
    "no python": (submission("def twice(x):\n return 2 x\n"), 0, 2, "SyntaxError"),
    "deep": (submission("def twice(x):\n    return " + "(" * 5000 + "x" + ")" * 5000), 0, 2, ""),
    "partial credit": (submission(FORGE + "\n" + body(FORGE) + " + 1"), 0, 2, "twice(3)"),
    "swallowed errors": (submission(SWALLOW), 0, 2, "twice(3)"),
    "markup": (submission(body("raise ValueError('|<b>`=1+1')")), 0, 2, "ValueError: |<b>`=1+1"),
    "strange cells": ('{"cells": [1, {}, {"source": 3, "id": [1]}]}', 0, 0, "NotImplementedError"),
    "=cmd()": (submission(), 1, 2, ""),
    "fills a heap": (
        submission(HEAP, change=insert(1, "import heapq\nheap = [3]", "heapq.heappush(heap, 2)")),
        1,
        2,
        "",
    ),
    "fills a global": (
        submission(
            GLOBAL,
            change=insert(
                1,
                "factors = {}\ndef keep(k, v):\n    factors[k] = v",
                "keep('two', 2)\nkeep('x', 9)",
            ),
        ),
        1,
        2,
        "",
    ),
    "uses a long cell's name": (
        submission(shout="def shout(text):\n    return text.upper() + suffix * (long_run - 1)"),
        1,
        2,
        "",
    ),
    "adds a cell to a long one": (
        submission(
            shout="def shout(text):\n    return text.upper() + mark",
            change=insert(4, "mark = '!' * (long_run // 2)"),
        ),
        1,
        2,
        "",
    ),
    "split answer": (submission(change=split), 1, 2, ""),
    "split and half without metadata": (submission(change=split_off), 1, 2, ""),
    "sketch below the check": (submission(change=sketch_below), 1, 2, ""),
    "no ids": (submission(change=no_ids), 1, 2, ""),
    "merged answers": (submission(change=merged), 1, 2, ""),
    "merged answers without ids": (submission(change=merged_without_ids), 1, 2, ""),
    "moved answer": (submission(change=moved), 1, 2, ""),
    "essay in two cells": (submission(change=essay_in_two), 1, 2, ""),
    "answer below its check": (
        submission(change=lambda notebook: notebook.cells.insert(2, notebook.cells.pop(1))),
        1,
        2,
        "",
    ),
    "O'Neil, José {x} [a-z]*": (submission(), 1, 2, ""),
    "Robert'); DROP TABLE student;--": (submission(WRONG), 0, 2, "twice(3)"),
    "王小明": (submission(), 1, 2, ""),
    "Ann Ärger": (submission(), 1, 2, ""),
    "n" * 200: (submission(), 1, 2, ""),
}

# who: (file, words of the reason why it can't be marked)
UNREADABLE: dict[str, tuple[str | bytes, str]] = {
    "broken": ('{"cells": [', "this is no notebook: JSONDecodeError"),
    "not text": (b"\xff\xfe\x00", "this is no notebook: UnicodeDecodeError"),
    "nested": ("[" * 200_000, "this is no notebook: RecursionError"),
    "old format": ('{"worksheets": [], "nbformat": 3}', "no list of cells"),
}


def stealing(root: Path) -> str:
    path = str(root / "notebooks" / f"{NAME}.ipynb")
    return submission("def twice(x):\n    " + STEAL.format(path=path))


# Marked where nothing is shut in, these would end every process of whoever runs the tests.
ONLY_BEHIND_DOORS = ("kills everything", "forks")


def vandal(root: Path) -> str:
    return submission(body(f"import shutil\nshutil.rmtree({str(root)!r}, ignore_errors=True)"))


class Graded:
    """One run over all submissions."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, root / "marks"
        make_course(root)
        folder = root / "submissions"
        files = {who: row[0] for who, row in (SUBMISSIONS | UNREADABLE).items()}
        files["steals"] = stealing(root)
        if isolates():
            files["vandal"] = vandal(root)
        else:
            files = {who: each for who, each in files.items() if who not in ONLY_BEHIND_DOORS}
        for who, content in files.items():
            hand_in(folder / who, content)
        (folder / "nothing").mkdir()
        (folder / "linked").mkdir()
        (folder / "linked" / f"{NAME}.ipynb").symlink_to(root / "notebooks" / f"{NAME}.ipynb")
        self.report = grade(folder, root, self.out)
        self.marks = {(m.student, m.exercise): m for m in self.report.marks}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return Graded(tmp_path_factory.mktemp("course"))


@pytest.mark.parametrize("who", SUBMISSIONS)
def test_each_submission_ends_in_its_mark_and_a_reason(graded: Graded, who: str) -> None:
    if who in ONLY_BEHIND_DOORS and not isolates():
        pytest.skip("would harm this system, which can't shut a process in")
    _, first, second, words = SUBMISSIONS[who]
    ex1, ex2 = graded.marks[who, "ex1"], graded.marks[who, "ex2"]
    assert (ex1.points, ex2.points) == (first, second), (ex1.note, ex2.note)
    assert (ex1.of, ex2.of) == (1, 2)
    assert words in ex1.note
    assert bool(ex1.note) == (first == 0), "points lost come with a reason, and only those"
    assert bool(ex2.note) == (second == 0)


@pytest.mark.parametrize("who", UNREADABLE)
def test_what_can_not_be_marked_is_no_zero_but_a_row_of_its_own(graded: Graded, who: str) -> None:
    (row,) = [mark for mark in graded.report.marks if mark.student == who]
    assert (row.exercise, row.points, row.of, row.state) == ("all", None, 4, "not marked")
    assert UNREADABLE[who][1] in row.note
    assert who in {mark.student for mark in graded.report.not_marked()}


def test_who_hands_in_nothing_or_a_link_gets_a_reason(graded: Graded) -> None:
    for who in ("nothing", "linked"):
        assert graded.marks[who, "ex1"].points == 0
        assert "nothing was handed in" in graded.marks[who, "ex1"].note


def test_a_written_answer_waits_for_a_person(graded: Graded) -> None:
    assert graded.marks["ann perfect", "ex3"].points is None
    assert graded.report.totals()["ann perfect"] == (3.0, 4, 1)
    assert graded.marks["strange cells", "ex3"].note == "no answer"


needs_isolation = pytest.mark.skipif(
    not isolates(), reason="this system can't shut a process in: marking is not isolated here"
)


@needs_isolation
def test_the_masters_are_out_of_sight(graded: Graded) -> None:
    assert graded.marks["steals", "ex1"].points == 0
    assert "FileNotFoundError" in graded.marks["steals", "ex1"].note
    assert graded.marks["steals", "ex2"].points == 2


@needs_isolation
def test_nothing_can_be_deleted(graded: Graded) -> None:
    assert graded.marks["vandal", "ex1"].points == 1
    assert (graded.root / "notebooks" / f"{NAME}.ipynb").is_file()
    assert (graded.root / "submissions" / "ann perfect").is_dir()


@needs_isolation
def test_the_doors_stay_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "secret").write_text("42")
    attempts = {
        "see": f"import os; assert os.listdir({str(hidden)!r}) == []",
        "unmount": f"import subprocess; subprocess.run(['umount', {str(hidden)!r}])\n"
        f"import os; assert os.listdir({str(hidden)!r}) == []",
        "write": f"open({str(tmp_path / 'new')!r}, 'w')",
        "home": "open('own', 'w').write('x'); assert open('own').read() == 'x'",
        "variables": "import os; assert 'LABKIT_TEST_SECRET' not in os.environ",
    }
    monkeypatch.setenv("LABKIT_TEST_SECRET", "1")
    cells = [Cell(i, source, False) for i, source in enumerate(attempts.values())]
    found = run_cells(cells, LIMITS, [hidden])
    failed = {name: found[i].error for i, name in enumerate(attempts) if found[i].error}
    assert list(failed) == ["write"], failed
    assert "Read-only file system" in failed["write"]["evalue"]


def test_tables_hold_all_marks_and_no_markup_or_formula(graded: Graded) -> None:
    with (graded.out / "marks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept_back = 0 if isolates() else len([*ONLY_BEHIND_DOORS, "vandal"])
    assert len(rows) == 3 * (len(SUBMISSIONS) + 4 - kept_back) + len(UNREADABLE)
    by_key = {(row["student"], row["exercise"]): row for row in rows}
    assert by_key["bob half", "ex1"]["note"] == "twice(3) should be 6"
    assert by_key["ann perfect", "ex2"]["points"] == "2"
    assert by_key["ann perfect", "ex3"]["points"] == ""
    assert ("'=cmd()", "ex1") in by_key
    page = (graded.out / "marks.md").read_text("utf-8")
    assert "<b>" not in page and r"ValueError: \|&lt;b&gt;\`=1+1" in page
    assert "| ann perfect | 3 | 4 | 1 |" in page


def test_no_process_and_no_folder_is_left(graded: Graded) -> None:
    if sys.platform == "linux":
        commands = []
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(status.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # ended in between
        parent = str(graded.root)
        assert not [line for line in commands if "enter_sandbox" in line and parent in line]


def test_the_gradebook_can_be_used_again_and_changed_masters_are_noticed(
    graded: Graded, tmp_path: Path
) -> None:
    folder = tmp_path / "late"
    hand_in(folder / "bob half", submission())
    report = grade(folder, graded.root, graded.out)
    assert {m.exercise: m.points for m in report.marks} == {"ex1": 1, "ex2": 2, "ex3": None}
    other = tmp_path / "course"
    (other / "notebooks").mkdir(parents=True)
    changed = master()
    changed.cells[0].source = "suffix = '?'"
    nbformat.write(changed, other / "notebooks" / f"{NAME}.ipynb")
    with pytest.raises(LabError, match="has changed since"):
        grade(folder, other, graded.out)


def test_a_folder_that_can_not_be_marked_is_named(graded: Graded, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="neither a folder nor a zip file"):
        grade(tmp_path / "missing", graded.root, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match="holds no folders"):
        grade(tmp_path / "empty", graded.root, tmp_path / "out")
    hand_in(tmp_path / "in" / "ann", submission())
    with pytest.raises(LabError, match="holds other files"):
        grade(tmp_path / "in", graded.root, tmp_path)


def test_a_given_cell_without_time_is_named_and_not_the_name_that_is_missing() -> None:
    notebook = nbformat.from_dict(json.loads(submission("def twice(x):\n    return long_run * x")))
    notebook.cells[2].source = CHECK_TWICE
    notebook.cells[3].source = "import time\ntime.sleep(30)\nlong_run = 2"
    notebook.cells.insert(1, notebook.cells.pop(3))
    given, check = notebook.cells[1], notebook.cells[3]
    running.execute(notebook, [], Limits(cell_s=1, total_s=4, memory=1 << 30))
    assert "“import time” was ended: stopped after 4 s" in running.hint(check)
    assert running.is_unmarked(check), "that is no mistake of the student's"
    given.metadata["added"] = True
    running.execute(notebook, [], Limits(cell_s=1, total_s=20, memory=1 << 30))
    assert "'long_run' is not defined (the cell before" in running.hint(check)
    assert not running.is_unmarked(check) and running.hint(notebook.cells[5]) == ""


def test_a_given_cell_has_more_time_than_one_of_the_students() -> None:
    slow = "import time\ntime.sleep(2)"
    cells = [Cell(0, slow, False, given=True), Cell(1, slow, False), Cell(2, "1", False)]
    results = run_cells(cells, Limits(cell_s=1, total_s=20, memory=1 << 30))
    assert [results[i].error and results[i].error["ename"] for i in range(3)] == [
        None,
        "TimeoutError",
        None,
    ]


def test_the_command_as_it_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """Relative paths, absolute ones, from another folder, one after another: the same marks."""
    course = make_course(tmp_path / "the course")
    hand_in(course / "subs" / "ann", submission())
    hand_in(course / "subs" / "bob", submission(WRONG))
    doors = [] if isolates() else ["--not-isolated"]
    (tmp_path / "elsewhere").mkdir()
    runs = (
        (course, ["subs", "--out", "marks"]),
        (course, ["subs", "--out", "marks"]),
        (course, [str(course / "subs"), "--out", str(course / "marks"), "--root", str(course)]),
        (tmp_path / "elsewhere", ["../the course/subs", "--out", "m/n", "--root", "../the course"]),
    )
    for place, words in runs:
        monkeypatch.chdir(place)
        with pytest.raises(SystemExit) as ended:
            cli.main(["grade", *words, *doors])
        out = capfd.readouterr().out
        assert not ended.value.code, out
        assert out.splitlines()[:2] == [
            "ann: 3 of 4, 1 to mark by hand",
            "bob: 2 of 4, 1 to mark by hand",
        ]
        assert Path.cwd() == place
    left = [path.name for path in course.iterdir()]
    assert sorted(left) == ["marks", "notebooks", "subs"]


def test_what_could_not_be_marked_ends_in_exit_code_1(
    graded: Graded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    hand_in(tmp_path / "in" / "ann", submission())
    hand_in(tmp_path / "in" / "bob", "{")
    fails = iter([RuntimeError("the database is locked")])
    right = gradebook._Course._autograde

    def autograde(course: object, student: str, stem: str) -> None:
        if student == "ann":
            for error in fails:
                raise error
        right(course, student, stem)

    monkeypatch.setattr(gradebook._Course, "_autograde", autograde)
    words = ["grade", tmp_path / "in", "--root", graded.root, "--out", tmp_path / "out"]
    words += [] if isolates() else ["--not-isolated"]
    for expected in (
        ["ann: 0 of 4; could not be marked: 01_little", "bob: 0 of 4; could not be marked"],
        ["ann: 3 of 4, 1 to mark by hand", "bob: 0 of 4; could not be marked"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        lines = capfd.readouterr().out.splitlines()
        assert ended.value.code == 1
        assert all(map(str.startswith, lines, expected)), lines
    with (tmp_path / "out" / "marks.csv").open(newline="", encoding="utf-8") as file:
        (row,) = [row for row in csv.DictReader(file) if row["student"] == "bob"]
    assert (row["exercise"], row["points"], row["state"]) == ("all", "", "not marked")
    assert "JSONDecodeError" in row["note"]


def test_a_run_that_fails_leaves_nothing_behind(
    graded: Graded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    hand_in(tmp_path / "in" / "ann", submission())
    out, right = tmp_path / "out", skeletons.nbgrader_api

    def broken(course: Path, **settings: object) -> None:
        if "release" not in {path.name for path in course.iterdir()} and course.name.startswith(
            ".out-"
        ):
            raise LabError("nbgrader can't make the skeletons: full disk")
        return right(course, **settings)

    monkeypatch.setattr(skeletons, "nbgrader_api", broken)
    with pytest.raises(LabError, match="full disk"):
        grade(tmp_path / "in", graded.root, out)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    monkeypatch.setattr(skeletons, "nbgrader_api", right)
    assert grade(tmp_path / "in", graded.root, out).totals() == {"ann": (3.0, 4, 1)}
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/labkit/out")):
        words = ["grade", tmp_path / "in", "--root", graded.root, "--out", place]
        words += [] if isolates() else ["--not-isolated"]
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        error = capfd.readouterr().err
        assert ended.value.code == 2 and len(error.splitlines()) == 1, error
        assert f"--out {place} can't be written" in error


def test_time_for_the_whole_notebook_is_bounded() -> None:
    cells = [Cell(i, "import time\ntime.sleep(60)", False) for i in range(3)]
    found = run_cells(cells, Limits(cell_s=30, total_s=2, memory=1 << 30))
    assert [found[i].error["evalue"] for i in found] == [
        "stopped after 2 s: an endless loop?",
        "the whole notebook ran longer than 2 s",
    ]
    assert "the whole notebook ran longer than 2 s" in running._why_unrun(found)


def test_nothing_is_marked_with_the_instructors_rights_unasked(
    graded: Graded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path / "in" / "ann", submission())
    monkeypatch.setattr(gradebook, "isolates", lambda: False)
    with pytest.raises(LabError, match="--not-isolated for people you trust"):
        gradebook.grade(tmp_path / "in", graded.root, tmp_path / "out", LIMITS)
    assert not (tmp_path / "out").exists()
    report = gradebook.grade(
        tmp_path / "in", graded.root, tmp_path / "out", LIMITS, not_isolated=True
    )
    assert not report.isolated
    assert report.totals()["ann"] == (3.0, 4, 1)


def test_without_a_sandbox_python_has_no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "isolates", lambda: False)
    tried = "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)"
    found = run_cells([Cell(0, tried, False), Cell(1, "1 + 1", False)], LIMITS)
    assert found[0].error["evalue"] == "no network while marking"
    assert found[1].error is None


def test_the_command_prints_one_object(graded: Graded, tmp_path: Path, capfd) -> None:
    hand_in(tmp_path / "in" / "bob half", submission(WRONG))
    options = ["--root", graded.root, "--out", tmp_path / "out", "--cell-seconds", 5, "--json"]
    options += [] if isolates() else ["--not-isolated"]
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in ("grade", tmp_path / "in", *options)])
    result = json.loads(capfd.readouterr().out)
    assert not ended.value.code
    assert [mark["points"] for mark in result["marks"]] == [0, 2, None]
    assert result["isolated"] == isolates()


def test_the_command_names_a_wrong_folder_and_a_course_that_fails(graded: Graded, capfd) -> None:
    root = str(graded.root)
    for words, code, said in (
        (["grade", root + "/missing", "--root", root], 2, "neither a folder nor a zip file"),
        (["assignments", "build", "--root", root], None, "01_little.ipynb"),
        (["assignments", "check", "--root", root], 1, "ex1: 0 wrong solutions"),
        (["assignments", "mend"], 2, "see `labkit assignments --help`"),
    ):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        out, error = capfd.readouterr()
        assert (ended.value.code or None) == code
        assert said in out + error and "Traceback" not in error


def test_only_the_students_text_is_taken_from_a_file() -> None:
    """Kernel, outputs, metadata and tests of a submission are not looked at."""
    notebook = nbformat.from_dict(json.loads(submission(change=other_kernel)))
    notebook.cells[2].outputs = [v4.new_output("stream", text="✓")]
    notebook.cells[2].metadata["tags"] = ["skip"]
    cells = [submissions._cell(cell) for cell in notebook.cells]
    skeleton = master()
    found = submissions.restored(skeleton, cells)
    assert found.metadata == skeleton.metadata
    assert found.cells[2] == skeleton.cells[2]
    assert found.cells[1].source == TWICE


def test_a_written_answer_without_ids_is_found_by_where_it_stands() -> None:
    notebook = nbformat.from_dict(json.loads(submission()))
    notebook.cells.append(v4.new_markdown_cell("It took me an hour."))
    cells = [{**submissions._cell(cell), "id": None, "grade_id": None} for cell in notebook.cells]
    found = submissions.restored(master(), cells).cells[-1]
    assert found.source == "I think so.\n\nIt took me an hour."
    kept = [submissions._cell(cell) for cell in notebook.cells]  # with ids, a note is a note
    assert submissions.restored(master(), kept).cells[-1].source == "I think so."


def test_text_and_line_ends_of_others_are_no_edits(tmp_path: Path) -> None:
    notebook = nbformat.from_dict(json.loads(submission()))
    notebook.cells.insert(0, v4.new_markdown_cell("The course says this.", id="text"))
    skeleton = master()
    skeleton.cells.insert(0, v4.new_markdown_cell("The course says something.", id="text"))
    raw = json.dumps(notebook).replace(r"\n", r"\r\n")
    (tmp_path / "windows.ipynb").write_text(raw, encoding="utf-8")
    cells = submissions.submitted_cells(tmp_path / "windows.ipynb")
    restored = submissions.restored(skeleton, cells)
    assert not any(cell.metadata.get(EDITED) for cell in restored.cells)
    assert restored.cells[2].source == TWICE
