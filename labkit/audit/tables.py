"""The tables of the paper that the course follows, as printed: ``data/paper/table1.json`` to 8.

Usage::

    table = printed(1)
    row(table, "T5-base")["best"]     # 94.3, in percent as printed
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from labkit.core.bundled import bundled
from labkit.core.errors import LabError

PAPER = bundled("paper")
TABLES = range(1, 9)


def printed(table: int, number: Callable[[str], object] = float) -> dict:
    """One table: ``table``, ``title``, ``source``, ``setting``, ``columns`` and ``rows``.

    Args:
        number: makes a cell with a decimal point; ``decimal.Decimal`` keeps the printed digits.

    Raises:
        LabError: for a number that no table of the paper has.
    """
    if table not in TABLES:
        raise LabError(f"the paper has no table {table!r}; choose one of {_listed(TABLES)}")
    return read(f"table{table}", number)


def read(name: str, number: Callable[[str], object] = float) -> dict:
    """Any file of ``data/paper``, by its name without ``.json``."""
    file = PAPER / f"{name}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"), parse_float=number)
    except (OSError, ValueError) as error:
        raise LabError(f"{file} can't be read ({error}); restore it from the repository") from error


def row(table: Mapping, key: str | int) -> dict:
    """The row whose first column holds ``key``.

    Raises:
        LabError: if there is none.
    """
    name = table["columns"][0]["name"]
    rows = {line[name]: line for line in table["rows"]}
    if key not in rows:
        raise LabError(f"{table['title']!r} has no {name} {key!r}; choose one of {_listed(rows)}")
    return rows[key]


def _listed(names: Iterable) -> str:
    return ", ".join(str(name) for name in names)
