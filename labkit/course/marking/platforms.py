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
RESUBMITTED = re.compile(r"(?<!\d)-(?P<n>\d{1,2})$")  # Canvas's; a date ends otherwise
VERSION = re.compile(
    r"(?:v|version|final|new|copy|\d{4}[._-]\d\d?[._-]\d\d?|(?<!\d)\d\d?(?!\d)|[\s._-])*",
    re.IGNORECASE,
)
"""What stands behind a notebook's name and is no student's: ``v2``, ``final``, ``2026-10-31``."""
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


def owners_of_files(names: Sequence[str], stems: Sequence[str]) -> dict[str, Owner]:
    """Flat file → whose it is.

    A name stands in front of the notebook's, else behind it. What stands in front of all of them,
    where names differ behind it, is the course's: ``HW1_01_hard_prompt_Ann.ipynb`` is Ann's.
    """
    owners, others = {}, {}
    for name in names:
        stem = NOTEBOOK.sub("", name)
        matches = (pattern.fullmatch(stem) for pattern in (MOODLE, BLACKBOARD, CANVAS))
        if match := next(filter(None, matches), None):
            owners[name] = _owner(match)
        else:
            others[name] = _around(stem, stems)
    fronts = {front for front, _ in others.values()}
    behind = {after for _, after in others.values()}
    of_the_course = len(fronts) == 1 and len(behind) > 1 and "" not in behind
    for name, (front, after) in others.items():
        owners[name] = Owner(after if of_the_course else front or after)
    return owners


def _around(stem: str, stems: Sequence[str]) -> tuple[str, str]:
    """What stands in front of a notebook's name in a file's, and behind it."""
    for known in stems:
        if place := _pattern(known).search(stem):
            before, after = stem[: place.start()], stem[place.end() :]
            after = _plain_name(RESUBMITTED.sub("", after))
            return _plain_name(before), "" if VERSION.fullmatch(after) else after
    return _plain_name(stem), ""


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
