"""Who handed in what: a folder (or a zip) of submissions, as learning platforms leave them.

Known are a folder for each student (nbgrader's, Moodle's, Brightspace's and Gradescope's among
them, at any depth and with zip files inside) and flat files that carry the student's name (Canvas,
Moodle, Blackboard, Google Classroom). A notebook is recognised by the check cells in it, whatever
its file is called, and else by its name. Of several files of one student for one notebook the
newest counts; whatever is not used is listed with the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from labkit.core.errors import LabError
from labkit.course.marking.platforms import (
    COPY,
    NOTEBOOK,
    RESUBMITTED,
    Owner,
    names_a_student,
    owner_of_folder,
    owners_of_files,
    shown_names,
    stem_in,
)

MOST_UNPACKED, MOST_MEMBERS, DEEPEST_ZIP = 2 << 30, 20_000, 3
GRADESCOPE = "submission_metadata.yml"
NBGRADER = {"nbgrader_config.py", "gradebook.db"}
IGNORED = {"__MACOSX", "desktop.ini", "Thumbs.db", "timestamp.txt"}
DEEPEST_FOLDER, LARGEST_FILE = 40, 50 << 20
CHECKPOINTS = ".ipynb_checkpoints"


class Aside(NamedTuple):
    """A file that is not marked, and why."""

    student: str
    """Empty if nobody's."""

    file: str
    """Its path below the folder of submissions."""

    why: str


@dataclass
class Collection:
    """Student → stem of a notebook → file, and what was left aside."""

    students: dict[str, dict[str, Path]] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)


class _Entry(NamedTuple):
    path: Path
    """Where it can be read, perhaps unpacked."""

    parts: tuple[str, ...]
    """Its path below the folder of submissions, zip files counted as folders."""

    from_zip: bool = False


class _File(NamedTuple):
    owner: Owner
    entry: _Entry
    stem: str
    rank: tuple
    """Larger for the newer of two."""


def collect(
    source: Path,
    stems: Sequence[str],
    recognise: Callable[[Path], str | None],
    unpacked: Path,
) -> Collection:
    """Find every student's notebooks.

    Args:
        source: the folder, or a zip file of it.
        stems: names of the course's notebooks.
        recognise: the notebook that a file holds by its content, or None.
        unpacked: an empty folder for what comes out of zip files.

    Raises:
        LabError: if there is no such folder or nobody in it.
    """
    if not (source.is_dir() or zipfile.is_zipfile(source)):
        raise LabError(
            f"{source} is neither a folder nor a zip file; give the one with a folder for each "
            "student"
        )
    result = Collection()
    entries = _below_wrappers(list(_walk(source, unpacked, result.aside)), stems)
    names = _gradescope_names(entries)
    owners = _owners_of_folders(entries, names)
    flat = owners_of_files(_flat_notebooks(entries, owners), stems)
    files: list[_File] = []
    for entry in entries:
        if not entry.path.is_file():
            continue
        owner = owners.get(entry.parts[0])
        if not NOTEBOOK.search(entry.parts[-1]):
            if len(entry.parts) > 1:  # beside the students' folders: the platform's own lists
                _put_aside(result, owner, entry, "not a notebook (.ipynb)")
            continue
        if owner is None:
            owner = flat[entry.parts[0]]
        stem = recognise(entry.path) or stem_in(entry.parts[-1], stems)
        if not owner.name:
            why = "nobody's: no name stands in its own; put it into a folder with the student's"
            _put_aside(result, owner, entry, why)
        elif stem is None:
            why = "none of the course's notebooks, by its check cells or by its name"
            _put_aside(result, owner, entry, why)
        else:
            files.append(_File(owner, entry, stem, _rank(owner, entry)))
    _assign(result, [*owners.values(), *(file.owner for file in files)], files)
    if not result.students:
        raise LabError(
            f"{source} holds no folders and no notebooks with a name in theirs; there should be "
            "one for each student"
        )
    return result


def _flat_notebooks(entries: Iterable[_Entry], owners: Mapping[str, Owner]) -> list[str]:
    names = [entry.parts[0] for entry in entries if entry.path.is_file()]
    return [name for name in names if NOTEBOOK.search(name) and name not in owners]


def _put_aside(result: Collection, owner: Owner | None, entry: _Entry, why: str) -> None:
    result.aside.append(Aside(owner.name if owner else "", "/".join(entry.parts), why))


# ---- files ----


def _walk(source: Path, unpacked: Path, aside: list[Aside]) -> Iterator[_Entry]:
    """Files, and folders that hold nothing, links and hidden ones left out."""
    if source.is_dir():
        yield from _walk_folder(source, (), unpacked, aside, 0)
    else:
        yield from _walk_zip(source, (), unpacked, aside, 0)


def _walk_folder(
    folder: Path,
    parts: tuple[str, ...],
    unpacked: Path,
    aside: list[Aside],
    depth: int,
    from_zip: bool = False,
) -> Iterator[_Entry]:
    if len(parts) > DEEPEST_FOLDER:
        aside.append(Aside("", "/".join(parts[:3]) + "/…", "folders nested too deep"))
        return
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        aside.append(Aside("", "/".join(parts), f"can't be opened: {error.strerror}"))
        return
    if parts:
        yield _Entry(folder, parts, from_zip)
    for child in children:
        inner = (*parts, unicodedata.normalize("NFC", _readable(child.name)))
        if child.is_symlink():
            aside.append(Aside("", "/".join(inner), "a link, not a file"))
        elif child.name == CHECKPOINTS:
            aside.append(Aside("", "/".join(inner), "copies that Jupyter keeps"))
        elif child.name in IGNORED or child.name.startswith("."):
            continue
        elif child.is_dir():
            yield from _walk_folder(child, inner, unpacked, aside, depth)
        elif child.is_file() and child.suffix.lower() == ".zip":
            yield from _walk_zip(child, inner, unpacked, aside, depth)
        elif child.is_file():
            yield _Entry(child, inner)
        else:
            aside.append(Aside("", "/".join(inner), "not a file"))


def _readable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _walk_zip(
    file: Path, parts: tuple[str, ...], unpacked: Path, aside: list[Aside], depth: int
) -> Iterator[_Entry]:
    where = "/".join(parts) or file.name
    target = unpacked / str(sum(1 for _ in unpacked.iterdir()))
    target.mkdir()
    try:
        if depth >= DEEPEST_ZIP:
            raise ValueError("zip files in zip files in zip files")
        _unpack(file, target)
    except Exception as error:  # zipfile and what it unpacks with raise what the damage leads to
        aside.append(Aside("", where, f"can't be unpacked: {error}"))
        return
    inner = (*parts[:-1], parts[-1][: -len(".zip")]) if parts else ()
    yield from _walk_folder(target, inner, unpacked, aside, depth + 1, from_zip=True)


def _unpack(file: Path, target: Path) -> None:
    """All plain files, with their dates; nothing that leads out of the folder."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS or sum(m.file_size for m in members) > MOST_UNPACKED:
            raise ValueError("more in it than a class hands in")
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                continue
            member.filename = _in_its_script(member)
            path = Path(archive.extract(member, target))  # zipfile drops drives, roots and ..
            with contextlib.suppress(ValueError, OverflowError):  # a date that is none
                moment = time.mktime((*member.date_time, 0, 0, -1))
                os.utime(path, (moment, moment))


def _in_its_script(member: zipfile.ZipInfo) -> str:
    """A name as it was written: without the flag for UTF-8 zipfile takes every name for cp437."""
    if member.flag_bits & 0x800:
        return member.filename
    for encoding in ("utf-8", "gb2312"):
        with contextlib.suppress(UnicodeError):  # newer Pythons read some names by another field
            return member.filename.encode("cp437").decode(encoding)
    return member.filename


def _below_wrappers(entries: list[_Entry], stems: Sequence[str]) -> list[_Entry]:
    """Without the folders around all of it, such as an unpacked archive's own.

    A lone folder is such a one if what it holds is several students'; so is ``submitted`` in a
    course of nbgrader's.
    """
    while True:
        tops = {entry.parts[0] for entry in entries}
        if "submitted" in tops and tops & NBGRADER:
            entries = [entry for entry in entries if entry.parts[0] == "submitted"]
        elif len(tops) != 1 or names_a_student(*tops) or not _holds_several(entries, stems):
            return entries
        entries = _one_down(entries)


def _one_down(entries: Iterable[_Entry]) -> list[_Entry]:
    return [f._replace(parts=f.parts[1:]) for f in entries if len(f.parts) > 1]


def _holds_several(entries: Sequence[_Entry], stems: Sequence[str]) -> bool:
    """Whether the folder at the top holds, however deep, several students' folders or files."""
    below = _one_down(entries)
    if len({entry.parts[0] for entry in below}) == 1:
        return _holds_several(below, stems)
    folders: dict[str, set[str]] = {}
    flat: list[str] = []
    for entry in entries:
        match entry.parts:
            case (_, name) if name == GRADESCOPE:
                return True
            case (_, name) if entry.path.is_dir() and names_a_student(name):
                return True
            case (_, name) if NOTEBOOK.search(name):
                flat += [name] if stem_in(name, stems) else []
            case (_, folder, *_, name) if NOTEBOOK.search(name):
                folders.setdefault(name, set()).add(folder)
    names = {owner.name for owner in owners_of_files(flat, stems).values()}
    return len(names - {""}) > 1 or any(len(holders) > 1 for holders in folders.values())


def _owners_of_folders(entries: Iterable[_Entry], names: dict[str, str]) -> dict[str, Owner]:
    """Folder (or zip file) at the top → whose it is."""
    owners = {}
    for entry in entries:
        top = entry.parts[0]
        if top in owners or (len(entry.parts) == 1 and entry.path.is_file()):
            continue
        owners[top] = Owner(names[top]) if top in names else owner_of_folder(top, entry.from_zip)
    return owners


def _gradescope_names(entries: Iterable[_Entry]) -> dict[str, str]:
    """Folder of a submission → its students, from the list that Gradescope lays beside them."""
    for entry in entries:
        if entry.parts == (GRADESCOPE,):
            import yaml

            try:
                rows = yaml.safe_load(entry.path.read_text("utf-8"))
                return {
                    str(folder): ", ".join(str(who[":name"]) for who in row[":submitters"])
                    for folder, row in rows.items()
                }
            except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
                return {}
    return {}


# ---- who gets which ----


def _rank(owner: Owner, entry: _Entry) -> tuple:
    name = NOTEBOOK.sub("", entry.parts[-1])
    again = RESUBMITTED.search(name)
    copy = COPY.search(name)
    copies = int((copy["n"] or copy["m"] or 1) if copy else 0)
    return owner.when, int(again["n"]) if again else 0, entry.path.stat().st_mtime, copies


def _assign(result: Collection, owners: Sequence[Owner], files: Sequence[_File]) -> None:
    shown = shown_names(owners)
    result.students = {name: {} for name in sorted(set(shown.values()))}
    groups: dict[tuple[str, str], list[_File]] = {}
    for file in files:
        groups.setdefault((shown[file.owner[:2]], file.stem), []).append(file)
    for (student, stem), candidates in groups.items():
        *older, newest = sorted(candidates, key=lambda file: (file.rank, file.entry.parts))
        result.students[student][stem] = newest.entry.path
        why = f"an older one for {stem}; {'/'.join(newest.entry.parts)} is marked"
        result.aside += [Aside(student, "/".join(file.entry.parts), why) for file in older]


def recogniser(checks: dict[str, set[str]]) -> Callable[[Path], str | None]:
    """By content: the notebook (stem → sources of its check cells) with most of a file's cells."""

    def recognise(file: Path) -> str | None:
        if file.stat().st_size > LARGEST_FILE:
            return None
        try:
            content = json.loads(file.read_text("utf-8-sig"))  # as the marking reads it
            sources = {cell_text(cell) for cell in content["cells"]}
        except (OSError, ValueError, RecursionError, TypeError, KeyError):
            return None
        counts = {stem: len(known & sources) for stem, known in checks.items()}
        best = max(counts, key=lambda stem: counts[stem], default=None)
        return best if best is not None and counts[best] else None

    return recognise


def cell_text(cell: object) -> str:
    """The source of a cell as JSON has it, whatever that is."""
    source = cell.get("source", "") if isinstance(cell, dict) else ""
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return ""
    # half a surrogate pair can be written in JSON and in no file; some editors end lines as Windows
    return source.encode("utf-8", "replace").decode().replace("\r\n", "\n")
