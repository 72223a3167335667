"""Marks: honest submissions get theirs, and hostile ones cost nobody else anything.

The course marked here is one small notebook that needs no labkit, so that a submission takes about
as long as its kernel takes to start. What the course's own notebooks earn is in
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
from labkit.course.exercises.cells import SKIPPABLE
from labkit.course.marking import gradebook, running, sandbox, submissions
from labkit.course.marking.sandbox import Cell, Limits, isolates, run_cells

NAME = "01_little"
LIMITS = Limits(cell_s=3, total_s=25, memory=1 << 30)
TWICE = "def twice(x):\n    return 2 * x"
SHOUT = "def shout(text):\n    return text.upper() + suffix"
CHECK_TWICE = "assert twice(3) == 6, 'twice(3) should be 6'"
HIDDEN = (
    "### BEGIN HIDDEN TESTS\nassert twice(-4) == -8, 'twice(-4) should be -8'\n### END HIDDEN TESTS"
)


def marked(cell: nbformat.NotebookNode, name: str, points: int | None = None, **flags: bool):
    """A cell with nbgrader's metadata and an id."""
    flags = {"grade": False, "solution": False, "locked": False, "task": False} | flags
    cell["metadata"]["nbgrader"] = {"schema_version": 3, "grade_id": name, **flags}
    if points is not None:
        cell["metadata"]["nbgrader"]["points"] = points
    cell["id"] = name
    return cell


def solution(body: str) -> str:
    head, _, rest = body.partition("\n")
    return f"{head}\n    ### BEGIN SOLUTION\n{rest}\n    ### END SOLUTION"


def master() -> nbformat.NotebookNode:
    cells = [
        v4.new_code_cell("import time\nsuffix = '!'\ntime.sleep(0)", id="given"),
        marked(v4.new_code_cell(solution(TWICE)), "ex1-solution", solution=True),
        marked(
            v4.new_code_cell(f"{CHECK_TWICE}\n{HIDDEN}"), "ex1-check", 1, grade=True, locked=True
        ),
        v4.new_code_cell(
            "raise RuntimeError('a given cell that no exercise needs')",
            id="show",
            metadata={"tags": [SKIPPABLE]},
        ),
        marked(v4.new_code_cell(solution(SHOUT)), "ex2-solution", solution=True),
        marked(
            v4.new_code_cell("assert shout('a') == 'A!', 'shout(a) should be A!'"),
            "ex2-check",
            2,
            grade=True,
            locked=True,
        ),
        marked(v4.new_markdown_cell("Because."), "ex3-answer", 1, grade=True, solution=True),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def submission(
    twice: str = TWICE,
    shout: str = SHOUT,
    change: Callable[[nbformat.NotebookNode], object] = lambda notebook: None,
) -> str:
    """A student's file."""
    notebook = master()
    notebook.cells[1].source, notebook.cells[4].source = twice, shout
    notebook.cells[2].source, notebook.cells[6].source = CHECK_TWICE, "I think so."
    change(notebook)
    return json.dumps(notebook)  # nbformat would mend what is wrong with it


def body(lines: str) -> str:
    """A ``twice`` that does something first and then gives the right answer."""
    return "def twice(x):\n" + "\n".join(
        f"    {line}" for line in [*lines.split("\n"), "return 2 * x"]
    )


def drop(*names: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells = [cell for cell in notebook.cells if cell.id not in names]

    return change


def edit(name: str, source: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        next(cell for cell in notebook.cells if cell.id == name).source = source

    return change


def twin(notebook: nbformat.NotebookNode) -> None:
    """The solution cell copied, id and all: the first says nonsense, the second is right."""
    notebook.cells.insert(1, notebook.cells[1].copy())
    notebook.cells[1].source = "def twice(x):\n    return 'nonsense'"


def other_kernel(notebook: nbformat.NotebookNode) -> None:
    notebook.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}


def own_cells(notebook: nbformat.NotebookNode) -> None:
    notebook.cells.insert(0, v4.new_code_cell("two = 2"))
    notebook.cells.insert(1, v4.new_code_cell("while True:\n    pass"))
    notebook.cells.insert(2, v4.new_code_cell("!ls\nfactor = two"))


def no_metadata(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        cell["metadata"] = {}


WRONG = "def twice(x):\n    return x"
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


def grade(*paths: Path) -> gradebook.Report:
    """On a system without doors, with what the tests themselves hand in: they are trusted."""
    return gradebook.grade(*paths, LIMITS, not_isolated=not isolates())


class Graded:
    """One run over all submissions."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, root / "marks"
        (root / "notebooks").mkdir(parents=True)
        nbformat.write(master(), root / "notebooks" / f"{NAME}.ipynb")
        folder = root / "submissions"
        files = {who: row[0] for who, row in (SUBMISSIONS | UNREADABLE).items()}
        files["steals"] = stealing(root)
        if isolates():
            files["vandal"] = vandal(root)
        else:
            files = {who: each for who, each in files.items() if who not in ONLY_BEHIND_DOORS}
        for who, content in files.items():
            self._hand_in(folder / who, content)
        (folder / "nothing").mkdir()
        (folder / "linked").mkdir()
        (folder / "linked" / f"{NAME}.ipynb").symlink_to(root / "notebooks" / f"{NAME}.ipynb")
        self.report = grade(folder, root, self.out)
        self.marks = {(m.student, m.exercise): m for m in self.report.marks}

    @staticmethod
    def _hand_in(folder: Path, content: str | bytes) -> None:
        folder.mkdir(parents=True)
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / f"{NAME}.ipynb").write_bytes(raw)


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
    Graded._hand_in(folder / "bob half", submission())
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
    with pytest.raises(LabError, match="is not a folder"):
        grade(tmp_path / "missing", graded.root, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match="holds no folders"):
        grade(tmp_path / "empty", graded.root, tmp_path / "out")
    Graded._hand_in(tmp_path / "in" / "ann", submission())
    with pytest.raises(LabError, match="holds other files"):
        grade(tmp_path / "in", graded.root, tmp_path)


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
    Graded._hand_in(tmp_path / "in" / "ann", submission())
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
    Graded._hand_in(tmp_path / "in" / "bob half", submission(WRONG))
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
        (["grade", root + "/missing", "--root", root], 2, "is not a folder"),
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
