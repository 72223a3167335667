"""What a stored table of orders says of its settings: over prompts where several are pooled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from labkit.core.errors import LabError
from labkit.core.statistics import Difference
from labkit.experiments.base.result_file import row_stem
from labkit.experiments.base.rows import own_matrix
from labkit.experiments.base.runner import REFERENCE
from labkit.shuffle_probe import Probe


class Effect(NamedTuple):
    """A difference that a setting shows, and what it rests on."""

    difference: Difference
    prompts: int
    n: int


def effects(result: Mapping, field: str = "mean_difference") -> dict[str, Effect]:
    """Of each setting that passed the gate: over its prompts where they are pooled, else its
    first prompt's alone.

    Args:
        result: of a table of orders; field: ``mean_difference``, ``best_held_out`` or
            ``no_positions``.
    """
    known: dict[str, Effect] = {}
    for line in result.get("pooled", ()):
        if field in line:
            known[line["setting"]] = Effect(Difference(*line[field]), line["prompts"], line["n"])
    for row in result["rows"]:
        if row["learns"] and field in row:
            known.setdefault(row["setting"], Effect(difference_in(row, field), 1, row["n"]))
    order = dict.fromkeys(row["setting"] for row in result["rows"])
    return {setting: known[setting] for setting in order if setting in known}


def difference_in(row: Mapping, field: str) -> Difference:
    """A difference of one row, with its interval over sentences."""
    return Difference(*(row[field]["difference"] if field == "no_positions" else row[field]))


def first_prompts(result: Mapping) -> dict[str, dict]:
    """Of each setting one row, for what is read off one prompt: the first that passed the gate, or
    the first of all where none did."""
    rows: dict[str, dict] = {}
    for row in result["rows"]:
        known = rows.setdefault(row["setting"], row)
        if row["learns"] and not known["learns"]:
            rows[row["setting"]] = row
    return rows


def first_probe(result: Mapping, setting: str, folder: Path = REFERENCE) -> Probe:
    """The matrix of :func:`first_prompts`' row.

    Raises:
        LabError: where it is gone, or has become another row's.
    """
    row = first_prompts(result)[setting]
    file = folder / matrix_of(row, result["file"])
    probe = own_matrix(row, file)
    if probe is None:
        raise LabError(
            f"{file} is gone, or holds another matrix than that of {setting}, seed {row['seed']}; "
            f"make it again: {result['command']} --resume"
        )
    return probe


def matrix_of(row: Mapping, table: str) -> str:
    """A row's matrix, relative to the folder of results; older rows don't name it."""
    return row.get("matrix", f"{table}/{row_stem(row['setting'], row['seed'])}.npz")
