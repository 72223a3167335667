"""Whose a file is: names of files and folders, as learning platforms make them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NOTEBOOK = re.compile(r"\.ipynb(\.json|\.txt)?$", re.IGNORECASE)  # as some browsers save it

# `lee_LATE_12_345_01_hard_prompt-1`, `Ann Lee_12_assignsubmission_file_…`,
# `Week 1_annlee_attempt_2026-10-01-12-30-45_…`, `12-345 - Ann Lee - Oct 1, 2026 1230 PM`
CANVAS = re.compile(r"(?P<who>.+?)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
MOODLE = re.compile(r"(?P<who>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)")
BLACKBOARD = re.compile(r".+_(?P<who>[^_]+)_attempt_(?P<when>\d{4}(?:-\d\d){5})_?(?P<file>.*)")
BRIGHTSPACE = re.compile(r"\d+-\d+ - (?P<who>.+?) - (?P<date>[^-]*\d{4}.*)")

LATE = re.compile(r"[\s_-]*(?:\(late\)|_late\b)[\s_-]*", re.IGNORECASE)
COPY = re.compile(
    r"(?:[\s_-]*\((?P<n>\d+)\)|[\s_-]+copy\s*(?P<m>\d*))+\s*$|^copy of\b", re.IGNORECASE
)
RESUBMITTED = re.compile(r"-(?P<n>\d+)$")
EDGES = " \t_-–—,.:;"


class Owner(NamedTuple):
    """Whose a file or folder is."""

    name: str
    number: str = ""
    """The platform's number of the student, where it gives one."""

    when: str = ""
    """The platform's date of the attempt, where it gives one."""


def owner_of_folder(name: str, from_zip: bool) -> Owner:
    for pattern in (MOODLE, BLACKBOARD, BRIGHTSPACE, *([CANVAS] if from_zip else [])):
        if match := pattern.fullmatch(name):
            return _owner(match)
    return Owner(LATE.sub(" ", name).strip() or name)


def owner_of_file(name: str, stems: Sequence[str]) -> Owner:
    stem = NOTEBOOK.sub("", name)
    for pattern in (MOODLE, BLACKBOARD, CANVAS):
        if match := pattern.fullmatch(stem):
            return _owner(match)
    before, after = stem, ""
    for known in stems:
        if place := _pattern(known).search(stem):
            before, after = stem[: place.start()], stem[place.end() :]
            break
    return Owner(_plain_name(before) or _plain_name(RESUBMITTED.sub("", after)))


def _owner(match: re.Match[str]) -> Owner:
    parts = match.groupdict()
    who = LATE.sub(" ", parts["who"]).strip()
    return Owner(who, parts.get("id", ""), parts.get("when", ""))


def _plain_name(text: str) -> str:
    return COPY.sub("", LATE.sub(" ", text).strip(EDGES)).strip(EDGES)


def _pattern(stem: str) -> re.Pattern[str]:
    """The stem in a file's name, whatever stands between its words."""
    words = r"[\s_-]*".join(map(re.escape, stem.split("_")))
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.IGNORECASE)


def stem_in(name: str, stems: Sequence[str]) -> str | None:
    hits = [stem for stem in stems if _pattern(stem).search(NOTEBOOK.sub("", name))]
    return hits[0] if len(hits) == 1 else None


def names_a_student(name: str) -> re.Match[str] | None:
    return MOODLE.fullmatch(name) or BRIGHTSPACE.fullmatch(name)


def shown_names(owners: Iterable[Owner]) -> dict[tuple[str, str], str]:
    """(name, number) → the name in the tables: with the number where two share a name.

    ``Ann (1)`` is Ann if there is an Ann: that is how a second copy of a folder is called.
    """
    keys = {owner[:2] for owner in owners if owner.name}
    names = {name for name, _ in keys}
    numbers = {name: {number for other, number in keys if other == name} for name in names}
    shown = {}
    for name, number in keys:
        base = COPY.sub("", name).strip()
        copied = not number and base != name and base in names
        several = number and len(numbers[name]) > 1
        shown[name, number] = base if copied else f"{name} ({number})" if several else name
    return shown
