"""A printed table, recomputed cell by cell: means, totals, counts, and scores that can't be (GRIM).

Usage::

    recompute(8, {"rte": 277})[0]["rte"]     # Cell(printed='71.9', right='71.8', kind='score')
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from labkit.audit.numbers import is_possible, rounded, rounding_slack
from labkit.audit.tables import printed
from labkit.core.errors import LabError

COUNTS = ("worse", "better", "equal")
SPLITS = ("train", "validation", "test")


class Cell(NamedTuple):
    """A cell as printed, and what should stand there.

    ``kind``: ``mean``, ``total``, ``count`` and ``score`` were recomputed, ``plain`` can't be.
    ``right``: None where the print is right or nothing is known; of a score the nearest that n
    examples can give.
    """

    printed: str
    right: str | None = None
    kind: str = "plain"


def recompute(table: int, examples: Mapping[str, int]) -> list[dict[str, Cell]]:
    """Rows of one of the paper's tables, column → cell.

    A score in per cent is checked as k right of n, unless it is a correlation; a mean against the
    scores of its row, a total against the splits, and the last count of orders against their
    number.

    Args:
        examples: task → its test examples, at least 1; scores of other tasks are not checked.

    Raises:
        LabError: for an unknown table, or a number that no test set has.
    """
    for task, n in examples.items():
        if n < 1:
            raise LabError(f"{task}: {n} test examples; give a number of at least 1")
    content = printed(table, Decimal)
    return [
        {
            column["name"]: _recomputed(row, column, content["setting"], examples)
            for column in content["columns"]
        }
        for row in content["rows"]
    ]


def _recomputed(row: Mapping, column: Mapping, setting: Mapping, examples: Mapping) -> Cell:
    name, value = column["name"], row[column["name"]]
    if name == "mean":
        scores = [x for key, x in row.items() if isinstance(x, Decimal) and key != name]
        return _held_against(value, rounded(sum(scores, Decimal(0)) / len(scores), value), "mean")
    if name == "total":
        value, parts = Decimal(value), [Decimal(row[split]) for split in SPLITS]
        close = abs(sum(parts) - value) <= rounding_slack((*parts, value))
        return _held_against(value, value if close else sum(parts), "total")
    if name == COUNTS[-1]:
        others = sum(row[count] for count in COUNTS[:-1])
        return _held_against(value, setting["orders"] - others, "count")
    metric = column.get("metric") or row.get("metric") or setting.get("metric") or "accuracy"
    n = examples.get(name) or examples.get(row.get("task") or setting.get("task"))
    if n and column["unit"] == "%" and metric == "accuracy":
        return _held_against(value, value if is_possible(value, n) else nearest(value, n), "score")
    return Cell(str(value))


def nearest(score: Decimal, n: int) -> Decimal:
    """The score nearest to this one that some k right of n gives, with as many digits."""
    below = min(int(score * n / 100), n - 1)
    shares = (rounded(Decimal(100 * k) / n, score) for k in (below, below + 1))
    return min(shares, key=lambda share: abs(share - score))


def _held_against(value: object, right: object, kind: str) -> Cell:
    return Cell(str(value), None if right == value else str(right), kind)
