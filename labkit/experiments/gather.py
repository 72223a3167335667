"""Rows of one table that were run in folders of their own, brought together in one.

Where machines share no folder, each runs some seeds with ``--out`` a folder of its own. Here their
files of one name become one: every row once, with the files that belong to it, and what follows
from all rows made anew. Rows that the folder has already stay where they were made as the new ones
were, by recipe, model, data and limit, so that no table mixes them; those that no new row replaces
wait under ``stale``, as they do where a table is resumed.

Usage::

    python -m labkit.experiments.gather gpu/seed-0 gpu/seed-1 --out results
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.files import real
from labkit.experiments import EXPERIMENTS, markdown
from labkit.experiments.base import result_file, runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.runner import Note

LAYOUT = ("bos", "positions")


def gather(
    folders: Sequence[Path], out: Path, only: Sequence[str] = (), note: Note = lambda line: None
) -> list[Path]:
    """Bring the results of several folders together in ``out``.

    Args:
        only: names of files without their ending; default: all that the folders hold.
        note: called with a line for each file, and for what is left out or set aside.

    Returns:
        The files that were written.

    Raises:
        LabError: before anything is written: for a folder without results, a file that is not
            there or of no experiment, two rows of one setting and seed that were made otherwise,
            or a file in ``out`` that is damaged or somebody else's.
    """
    found: dict[str, list[tuple[Path, dict]]] = {}
    for folder in folders:
        files = {file: result_file.read(file) for file in sorted(folder.glob("*.json"))}
        results = {file: result for file, result in files.items() if result and result["rows"]}
        if not results:
            raise LabError(f"{folder} holds no result of labkit's; give the --out of a run")
        for file, result in files.items():
            if result is None:
                note(f"{file} is damaged, or no result of labkit's; left out")
        for file, result in results.items():
            found.setdefault(file.stem, []).append((folder, result))
    asked = {stem: parts for stem, parts in found.items() if not only or stem in only}
    unknown = [stem for stem in only if stem not in found]
    if unknown:
        raise LabError(
            f"--only {', '.join(unknown)}: there is no such file; give {', '.join(found)}"
        )
    for stem, parts in asked.items():
        _refuse_unknown(stem, parts)
        _refuse_two_makings(stem, parts)
        _refuse_missing_files(stem, parts)
        _refuse_others_files(stem, parts, out, set(asked))
        result_file.start(out / f"{stem}.json", resume=True)  # refuses what must not be replaced
    return [_one(stem, parts, out, note) for stem, parts in asked.items()]


def _refuse_unknown(stem: str, parts: Sequence[tuple[Path, dict]]) -> None:
    for folder, result in parts:
        if result.get("name") not in EXPERIMENTS:
            raise LabError(
                f"{folder / stem}.json is of {result.get('name')!r}, no experiment here; gather it "
                "with the version that made it, or take it out"
            )


def _refuse_two_makings(stem: str, parts: Sequence[tuple[Path, dict]]) -> None:
    rows: dict[tuple[str, int], dict] = {}
    for folder, row in _rows_of(parts):
        pair = row["setting"], row["seed"]
        if rows.setdefault(pair, row).get("digest") != row.get("digest"):
            raise LabError(
                f"{folder / stem}.json: {pair[0]}, seed {pair[1]} was made otherwise in "
                "another folder; give only the one that counts"
            )


def _refuse_missing_files(stem: str, parts: Sequence[tuple[Path, dict]]) -> None:
    for folder, row in _rows_of(parts):
        for file in _files_of(row, stem, folder):
            if not file.exists():
                raise LabError(
                    f"{file} is named by {stem}.json and is not there; bring the whole --out"
                )


def _rows_of(parts: Sequence[tuple[Path, dict]]) -> Iterator[tuple[Path, dict]]:
    return ((folder, row) for folder, result in parts for row in result["rows"])


def _refuse_others_files(
    stem: str, parts: Sequence[tuple[Path, dict]], out: Path, gathered: set[str]
) -> None:
    """A row may share its matrix with a row of another table, whose rows in ``out`` must not get
    another prompt's.

    Raises:
        LabError: where a file would change under a table that is not gathered too.
    """
    for folder, result in parts:
        for name in (row["matrix"] for row in result["rows"] if "matrix" in row):
            owner, (new, old) = Path(name).parent.name, (folder / name, out / name)
            changed = new.is_file() and old.is_file() and new.read_bytes() != old.read_bytes()
            if changed and owner not in gathered:
                raise LabError(
                    f"{stem} shares {name} with {owner}, whose rows in {out} are of another "
                    f"prompt; gather {owner} too"
                )


def _one(stem: str, parts: Sequence[tuple[Path, dict]], out: Path, note: Note) -> Path:
    """One table from its parts, written beside what belongs to its rows."""
    file = out / f"{stem}.json"
    rows: dict[tuple[str, int], dict] = {}
    with result_file.only_writer(file, "gather", wait=True, tell=note):
        before = result_file.start(file, resume=True)
        for folder, row in _rows_of(parts):
            rows.setdefault((row["setting"], row["seed"]), row)
            _bring_files(row, stem, folder, out)
        earlier = {(row["setting"], row["seed"]): row for row in before["rows"]}
        kept = {
            pair: row
            for pair, row in earlier.items()
            if pair not in rows and _fits(row, list(rows.values()))
        }
        rows |= kept
        waiting = [*before.get("stale", ()), *earlier.values()]
        stale = [row for row in waiting if (row["setting"], row["seed"]) not in rows]
        replaced = sum(
            rows[pair].get("digest") != row.get("digest")
            for pair, row in earlier.items()
            if pair in rows
        )
        result = _together(parts[0][1], [result for _, result in parts], rows)
        if stale:
            result["stale"] = stale
        runner.conclude(EXPERIMENTS[result["name"]], result, out)
        result_file.write(file, result, markdown)
    seeds = sorted({seed for _, seed in rows})
    note(f"{stem}: {len(rows)} rows, seeds {', '.join(map(str, seeds))}")
    for setting in result["settings"]:
        there = sorted(seed for name, seed in rows if name == setting)
        if there != seeds:
            note(f"{stem}: {setting}: seeds {', '.join(map(str, there)) or 'none'}")
    if stale or replaced:
        note(
            f"{stem}: of rows made otherwise before, {replaced} are replaced and {len(stale)} wait "
            "to be made again"
        )
    return file


def _together(first: Mapping, results: Iterable[Mapping], rows: Mapping) -> dict:
    settings = list(dict.fromkeys(s for r in results for s in r.get("settings", ())))
    settings += [s for s in dict.fromkeys(setting for setting, _ in rows) if s not in settings]
    ordered = sorted(rows, key=lambda pair: (pair[1], settings.index(pair[0])))
    seeds = ",".join(map(str, sorted({seed for _, seed in rows})))
    command = re.sub(r" --seeds [\d,]+", "", first["command"]) + f" --seeds {seeds}"
    joined = {**first, "rows": [rows[pair] for pair in ordered], "command": command}
    joined.pop("stale", None)
    return joined | {"settings": settings}


def _fits(row: Mapping, rows: Sequence[Mapping]) -> bool:
    """Whether an earlier row was made as the new ones of its setting; as the others, if it has none
    among them."""
    of_setting = [other for other in rows if other["setting"] == row["setting"]]
    if of_setting:
        return any(_makings(other) == _makings(row) for other in of_setting)
    return "made" in row and any(
        all(other["made"].get(part) == row["made"].get(part) for part in ("profile", "limit"))
        for other in rows
    )


def _makings(row: Mapping) -> dict:
    """What rows of one setting have in common whatever their seed: recipe, model and data."""
    recipe = {name: row.get(name) for name in (*(f.name for f in fields(Recipe)), *LAYOUT)}
    return recipe | {key: value for key, value in row.get("made", {}).items() if key != "version"}


def _files_of(row: Mapping, stem: str, folder: Path) -> set[Path]:
    """The matrix that a row names, and whatever else is called by the row: its prompt too."""
    name = result_file.row_stem(row["setting"], row["seed"])
    found = (*(folder / stem).glob(f"{name}.*"), *(folder / stem / name).glob("*"))
    files = {file for file in found if file.is_file()}
    return files | ({folder / row["matrix"]} if "matrix" in row else set())


def _bring_files(row: Mapping, stem: str, folder: Path, out: Path) -> None:
    if real(folder) == real(out):  # they are in their place
        return
    for file in _files_of(row, stem, folder):
        place = out / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)


def main() -> None:
    """Gather folders, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="the --out of runs")
    parser.add_argument("--out", required=True, type=Path, help="folder for the whole tables")
    parser.add_argument("--only", action="append", default=[], help="a file's name; repeatable")
    asked = parser.parse_args()
    try:
        gather(asked.folders, asked.out, asked.only, print)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
