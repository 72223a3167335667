"""Who handed in what, from folders as learning platforms leave them."""

from __future__ import annotations

import io
import json
import os
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from labkit.core.errors import LabError
from labkit.course.marking.collecting import Collection, collect, recogniser

STEMS = ("01_hard_prompt", "02_soft_prompt")
FIRST, SECOND = STEMS
CHECKS = {FIRST: {"checks.check_clean(clean)"}, SECOND: {"checks.check_prepend(prepend)"}}


def file(marker: str, stem: str | None = None) -> bytes:
    """A notebook that says whose it is, with the check cell of a notebook of the course or none."""
    sources = [f"# {marker}", *(CHECKS[stem] if stem else [])]
    return json.dumps({"cells": [{"source": [source]} for source in sources]}).encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


ANN, BOB = file("ann"), file("bob")
NFD = unicodedata.normalize("NFD", "José Núñez")

# what it is: (path → content, student → stem → whose)
LAYOUTS: dict[str, tuple[dict[str, bytes], dict[str, dict[str, str]]]] = {
    "flat, with the course's own label in front": (
        {f"HW1_{FIRST}_Ann.ipynb": ANN, f"HW1_{FIRST}_Bob Lee.ipynb": BOB},
        {"Ann": {FIRST: "ann"}, "Bob Lee": {FIRST: "bob"}},
    ),
    "flat, one student, in two versions": (
        {f"Ann_{FIRST}_v1.ipynb": BOB, f"Ann_{FIRST}_v2.ipynb": ANN, f"Ann_{SECOND}.ipynb": ANN},
        {"Ann": {FIRST: "ann", SECOND: "ann"}},
    ),
    "a folder for each": (
        {f"ann/{FIRST}.ipynb": ANN, f"bob/{FIRST}.ipynb": BOB},
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "nbgrader, submitted": (
        {
            f"ann/labkit/{FIRST}.ipynb": ANN,
            "ann/labkit/timestamp.txt": b"2026",
            f"bob/labkit/{FIRST}.ipynb": BOB,
        },
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "nbgrader, the whole course": (
        {
            "gradebook.db": b"",
            f"source/labkit/{FIRST}.ipynb": file("the master"),
            f"submitted/ann/labkit/{FIRST}.ipynb": ANN,
        },
        {"ann": {FIRST: "ann"}},
    ),
    "a folder around all": (
        {f"week 1/ann/{FIRST}.ipynb": ANN, f"week 1/bob/{FIRST}.ipynb": BOB},
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "two folders around all": (
        {f"a/b/ann/x/{FIRST}.ipynb": ANN, f"a/b/bob/{FIRST}.ipynb": BOB},
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "deeper folders": (
        {f"ann/repo/course/assignments/{FIRST}.ipynb": ANN, f"bob/{FIRST}.ipynb": BOB},
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "one student alone": (
        {f"ann/hw/{FIRST}.ipynb": ANN, f"ann/hw/{SECOND}.ipynb": ANN},
        {"ann": {FIRST: "ann", SECOND: "ann"}},
    ),
    "Canvas": (
        {
            f"leeann_12345_67890_{FIRST}-1.ipynb": ANN,
            f"fayebob_LATE_12346_67891_{FIRST}.ipynb": BOB,
            f"fayebob_12346_67892_{SECOND}.ipynb": BOB,
        },
        {"leeann": {FIRST: "ann"}, "fayebob": {FIRST: "bob", SECOND: "bob"}},
    ),
    "Canvas, in a folder": (
        {
            f"submissions/leeann_12345_67890_{FIRST}.ipynb": ANN,
            f"submissions/fayebob_12346_67891_{FIRST}.ipynb": BOB,
        },
        {"leeann": {FIRST: "ann"}, "fayebob": {FIRST: "bob"}},
    ),
    "Canvas, with zip files": (
        {
            "leeann_12345_67890_work.zip": zipped({f"w/{FIRST}.ipynb": ANN}),
            "fayebob_LATE_12346_67891_work.zip": zipped({f"{FIRST}.ipynb": BOB}),
        },
        {"leeann": {FIRST: "ann"}, "fayebob": {FIRST: "bob"}},
    ),
    "Canvas, another name": (
        {"leeann_12345_67890_homework (final).ipynb": file("ann", SECOND)},
        {"leeann": {SECOND: "ann"}},
    ),
    "Moodle": (
        {
            f"Ann Lee_4711_assignsubmission_file_/{FIRST}.ipynb": ANN,
            "Ann Lee_4711_assignsubmission_onlinetext_/onlinetext.html": b"<p>hi",
            f"Bob Faye_4712_assignsubmission_file/{FIRST}.ipynb": BOB,
        },
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {FIRST: "bob"}},
    ),
    "Moodle, flat": (
        {
            f"Ann Lee_4711_assignsubmission_file_{FIRST}.ipynb": ANN,
            f"Bob Faye_4712_assignsubmission_file_{FIRST}.ipynb": BOB,
        },
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {FIRST: "bob"}},
    ),
    "Moodle, one name twice": (
        {
            f"Wei Zhang_4711_assignsubmission_file_/{FIRST}.ipynb": ANN,
            f"Wei Zhang_4712_assignsubmission_file_/{FIRST}.ipynb": BOB,
        },
        {"Wei Zhang (4711)": {FIRST: "ann"}, "Wei Zhang (4712)": {FIRST: "bob"}},
    ),
    "Moodle, with zip files": (
        {"Ann Lee_4711_assignsubmission_file_/hw.zip": zipped({f"hw/{FIRST}.ipynb": ANN})},
        {"Ann Lee": {FIRST: "ann"}},
    ),
    "Moodle, in a folder": (
        {
            f"Lab 1-99/Ann Lee_4711_assignsubmission_file_/{FIRST}.ipynb": ANN,
            f"Lab 1-99/Bob Faye_4712_assignsubmission_file_/{SECOND}.ipynb": BOB,
        },
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {SECOND: "bob"}},
    ),
    "Blackboard": (
        {
            f"Lab 1_annlee_attempt_2026-10-01-12-30-45_{FIRST}.ipynb": file("ann, old"),
            f"Lab 1_annlee_attempt_2026-10-02-08-00-00_{FIRST}.ipynb": ANN,
            "Lab 1_annlee_attempt_2026-10-02-08-00-00.txt": b"Name: Ann Lee",
            f"Lab 1_bobfaye_attempt_2026-10-01-12-31-00_{FIRST}.ipynb": BOB,
        },
        {"annlee": {FIRST: "ann"}, "bobfaye": {FIRST: "bob"}},
    ),
    "Google Classroom": (
        {f"Ann Lee - {FIRST}.ipynb": ANN, f"Bob Faye - {FIRST}.ipynb": BOB},
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {FIRST: "bob"}},
    ),
    "Google Drive's copies": (
        {f"Copy of {FIRST} - Ann Lee.ipynb": ANN, f"{FIRST}_bob.ipynb": BOB},
        {"Ann Lee": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "Google Classroom, in a folder": (
        {f"Lab 1/Ann Lee - {FIRST}.ipynb": ANN, f"Lab 1/Bob Faye - {FIRST} (1).ipynb": BOB},
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {FIRST: "bob"}},
    ),
    "Gradescope": (
        {
            "export/submission_metadata.yml": (
                b"submission_11:\n  :submitters:\n  - :name: Ann Lee\n    :sid: '1'\n"
                b"submission_12:\n  :submitters:\n  - :name: Bob Faye\n  - :name: Cy Moe\n"
            ),
            f"export/submission_11/{FIRST}.ipynb": ANN,
            f"export/submission_12/{FIRST}.ipynb": BOB,
        },
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye, Cy Moe": {FIRST: "bob"}},
    ),
    "Brightspace": (
        {
            "index.html": b"",
            f"12-345 - Ann Lee - Oct 1, 2026 1230 PM/{FIRST}.ipynb": ANN,
            f"13-346 - Bob Faye - Oct 1, 2026 1231 PM/{FIRST}.ipynb": BOB,
        },
        {"Ann Lee": {FIRST: "ann"}, "Bob Faye": {FIRST: "bob"}},
    ),
    "Sakai": (
        {f"Lee, Ann(alee)/Submission attachment(s)/{FIRST}.ipynb": ANN, "grades.csv": b"x"},
        {"Lee, Ann(alee)": {FIRST: "ann"}},
    ),
    "apostrophes and commas": (
        {f"O'Neil, Ann/{FIRST}.ipynb": ANN, f"Bob “B.” Faye; Jr./{FIRST}.ipynb": BOB},
        {"O'Neil, Ann": {FIRST: "ann"}, "Bob “B.” Faye; Jr.": {FIRST: "bob"}},
    ),
    "accents, composed": (
        {f"José Núñez/{FIRST}.ipynb": ANN},
        {"José Núñez": {FIRST: "ann"}},
    ),
    "accents, decomposed": (
        {f"{NFD}/{FIRST}.ipynb": ANN},
        {"José Núñez": {FIRST: "ann"}},
    ),
    "other scripts": (
        {f"王小明/{FIRST}.ipynb": ANN, f"Мария Ив/{FIRST}.ipynb": BOB, f"علي/{FIRST}.ipynb": BOB},
        {"王小明": {FIRST: "ann"}, "Мария Ив": {FIRST: "bob"}, "علي": {FIRST: "bob"}},
    ),
    "late": (
        {f"Ann Lee (late)/{FIRST}.ipynb": ANN, f"Bob_LATE/{FIRST} (late).ipynb": BOB},
        {"Ann Lee": {FIRST: "ann"}, "Bob": {FIRST: "bob"}},
    ),
    "names of copies": (
        {
            f"ann/{FIRST} (1).ipynb": ANN,
            f"ann/{SECOND}-Copy1.ipynb": ANN,
            "bob/01 Hard Prompt - copy.ipynb": BOB,
            f"cy/{FIRST}.ipynb.txt": file("cy"),
            f"di/{FIRST}.IPYNB": file("di"),
            "ed/my homework.ipynb": file("ed", FIRST),
        },
        {
            "ann": {FIRST: "ann", SECOND: "ann"},
            "bob": {FIRST: "bob"},
            "cy": {FIRST: "cy"},
            "di": {FIRST: "di"},
            "ed": {FIRST: "ed"},
        },
    ),
    "a folder copied": (
        {f"ann/{SECOND}.ipynb": ANN, f"ann (1)/{FIRST}.ipynb": ANN, "Team (2)/x.txt": b""},
        {"ann": {FIRST: "ann", SECOND: "ann"}, "Team (2)": {}},
    ),
    "zip files of students": (
        {"ann.zip": zipped({f"{FIRST}.ipynb": ANN}), "bob.zip": zipped({f"d/{FIRST}.ipynb": BOB})},
        {"ann": {FIRST: "ann"}, "bob": {FIRST: "bob"}},
    ),
    "the content decides": (
        {f"ann/{FIRST}.ipynb": file("ann", SECOND)},
        {"ann": {SECOND: "ann"}},
    ),
    "what a Mac and Windows add": (
        {
            f"ann/{FIRST}.ipynb": ANN,
            "__MACOSX/ann/._x.ipynb": b"",
            ".DS_Store": b"",
            "ann/Thumbs.db": b"",
        },
        {"ann": {FIRST: "ann"}},
    ),
    "nothing handed in": (
        {f"ann/{FIRST}.ipynb": ANN, "bob/": b""},
        {"ann": {FIRST: "ann"}, "bob": {}},
    ),
}


def lay_out(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def collected(source: Path, tmp_path: Path) -> Collection:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    return collect(source, STEMS, recogniser(CHECKS), unpacked)


def whose(result: Collection) -> dict[str, dict[str, str]]:
    return {
        student: {
            stem: json.loads(path.read_bytes())["cells"][0]["source"][0].removeprefix("# ")
            for stem, path in files.items()
        }
        for student, files in result.students.items()
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_student_is_found_with_the_own_files(tmp_path: Path, name: str) -> None:
    files, expected = LAYOUTS[name]
    assert whose(collected(lay_out(tmp_path / "in", files), tmp_path)) == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_comes_out_of_one_zip_file_of_all(tmp_path: Path, name: str) -> None:
    files, expected = LAYOUTS[name]
    (tmp_path / "all.zip").write_bytes(zipped(files))
    assert whose(collected(tmp_path / "all.zip", tmp_path)) == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_notebook_is_lost(tmp_path: Path, name: str) -> None:
    """Each is marked, or listed with a reason."""
    files, _ = LAYOUTS[name]
    result = collected(lay_out(tmp_path / "in", files), tmp_path)
    marked = [path for stems in result.students.values() for path in stems.values()]
    names = [n for n in files if ".ipynb" in n.lower() and "MACOSX" not in n and "source/" not in n]
    archives = [n for n in files if n.endswith(".zip")]
    left = [aside for aside in result.aside if ".ipynb" in aside.file]
    assert len(marked) + len(left) == len(names) + len(archives)
    assert all(aside.why for aside in result.aside)


def test_of_two_files_the_newest_is_marked_and_the_other_listed(tmp_path: Path) -> None:
    names = ["ann/old/01_hard_prompt.ipynb", "ann/01_hard_prompt-Copy1.ipynb"]
    files = dict(zip(names, (file("old"), file("new")), strict=True))
    folder = lay_out(tmp_path / "in", files | {"bob/x.txt": b""})
    os.utime(folder / names[0], (1, 1))
    result = collected(folder, tmp_path)
    assert whose(result)["ann"] == {FIRST: "new"}
    (older,) = [aside for aside in result.aside if aside.student == "ann"]
    assert older.file == names[0] and names[1] in older.why
    os.utime(folder / names[0])
    os.utime(folder / names[1], (1, 1))
    assert whose(collected(folder, tmp_path / "again"))["ann"] == {FIRST: "old"}


def test_what_is_nobodys_or_no_notebook_is_listed_with_the_reason(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path / "in",
        {
            f"{FIRST}.ipynb": ANN,
            f"ann/{FIRST}.ipynb": ANN,
            "ann/scratch.ipynb": file("ann"),
            "ann/answers.docx": b"",
            "ann/damaged.zip": b"PK",
            f"ann/.ipynb_checkpoints/{FIRST}-checkpoint.ipynb": ANN,
        },
    )
    (folder / "ann" / f"{SECOND}.ipynb").symlink_to(folder / f"{FIRST}.ipynb")
    result = collected(folder, tmp_path)
    assert whose(result) == {"ann": {FIRST: "ann"}}
    reasons = {aside.file: aside.why for aside in result.aside}
    expected = {
        f"{FIRST}.ipynb": "nobody's",
        "ann/scratch.ipynb": "none of the course's notebooks",
        "ann/answers.docx": "not a notebook",
        "ann/damaged.zip": "can't be unpacked",
        "ann/.ipynb_checkpoints": "copies that Jupyter keeps",
        f"ann/{SECOND}.ipynb": "a link",
    }
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in why for name, why in reasons.items()), reasons


def test_a_zip_file_that_is_damaged_costs_nobody_else(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            f"{FIRST}.ipynb", json.dumps({"cells": [{"source": list(map(str, range(999)))}]})
        )
    whole = raw.getvalue()
    raised = set()
    for place in range(60, 160):  # in the data, behind the member's own head
        broken = bytearray(whole)
        broken[place] ^= 0x40
        folder = lay_out(
            tmp_path / f"in{place}", {f"ann/{FIRST}.ipynb": ANN, "bob/work.zip": bytes(broken)}
        )
        result = collected(folder, tmp_path / f"out{place}")
        assert result.students["ann"].keys() == {FIRST}
        raised |= {aside.why for aside in result.aside if aside.student == ""}
    assert any("CRC" in why for why in raised) and len(raised) > 2


@pytest.mark.parametrize(
    ("name", "written"),
    [("Müller", "utf-8"), ("张伟", "utf-8"), ("张伟", "gb2312"), ("Müller", "cp437")],
)
def test_names_in_a_zip_file_are_read_as_they_were_written(
    tmp_path: Path, name: str, written: str
) -> None:
    raw = name.encode(written)
    stand_in = "x" * len(raw)  # zipfile itself writes no such names
    content = zipped({f"{stand_in}/{FIRST}.ipynb": ANN, f"bob/{FIRST}.ipynb": BOB})
    (tmp_path / "all.zip").write_bytes(content.replace(stand_in.encode(), raw))
    assert whose(collected(tmp_path / "all.zip", tmp_path)).keys() == {name, "bob"}


def test_a_date_in_a_name_says_nothing_of_a_second_attempt(tmp_path: Path) -> None:
    names = [f"ann/{FIRST}-2026-10-31.ipynb", f"ann/{FIRST}-2026-11-02.ipynb"]
    folder = lay_out(tmp_path / "in", dict(zip(names, (file("old"), file("new")), strict=True)))
    os.utime(folder / names[0], (1, 1))
    assert whose(collected(folder, tmp_path))["ann"] == {FIRST: "new"}


def test_a_zip_file_leads_nowhere_and_fills_nothing(tmp_path: Path) -> None:
    evil = zipped({"../../escaped.ipynb": ANN, "/absolute.ipynb": ANN, f"{FIRST}.ipynb": ANN})
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        link = zipfile.ZipInfo(f"{FIRST}.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(21):
            archive.writestr(f"{i}.ipynb", b"0" * (100 << 20))
    nested = zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.zip": b""})})})})
    folder = lay_out(
        tmp_path / "in",
        {
            "ann/evil.zip": evil,
            "bob/link.zip": raw.getvalue(),
            "cy/bomb.zip": bomb.getvalue(),
            "di/nested.zip": nested,
        },
    )
    result = collected(folder, tmp_path)
    assert whose(result) == {"ann": {FIRST: "ann"}, "bob": {}, "cy": {}, "di": {}}
    outside = [p for p in tmp_path.rglob("escaped.ipynb") if "unpacked" not in p.parts]
    assert not outside and not Path("/absolute.ipynb").exists()
    assert {aside.file for aside in result.aside} >= {
        "cy/bomb.zip",
        "di/nested/a/b/c.zip",
    }


def test_a_folder_without_anybody_is_named(tmp_path: Path) -> None:
    for source, words in (
        (tmp_path / "missing", "neither a folder nor a zip file"),
        (tmp_path / "e", "no folders"),
    ):
        (tmp_path / "e").mkdir(exist_ok=True)
        with pytest.raises(LabError, match=words):
            collected(source, tmp_path)


def test_deep_folders_and_odd_names_end_nothing(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "in", {f"ann/{FIRST}.ipynb": ANN})
    deep = folder / "bob"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    os.mkfifo(folder / "ann" / "pipe.ipynb")
    (folder / "ann" / os.fsdecode(b"\xff.ipynb")).write_bytes(ANN)
    result = collected(folder, tmp_path)
    assert whose(result) == {"ann": {FIRST: "ann"}, "bob": {}}
    assert len(result.aside) == 3


def test_a_renamed_notebook_that_begins_with_a_byte_order_mark_is_recognised(tmp_path):
    """Marking reads such a file: it is not to be set aside before."""
    handed_in = tmp_path / "my homework.ipynb"
    handed_in.write_bytes(b"\xef\xbb\xbf" + file("ann", SECOND))
    assert recogniser(CHECKS)(handed_in) == SECOND
