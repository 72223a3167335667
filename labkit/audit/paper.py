"""The paper as the audit reads it: printed cells, claims and equations, with decimals for numbers.

See ``data/paper/README.md`` for the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from labkit.audit import tables


@dataclass(frozen=True)
class Paper:
    """Tables by their number, and the other files of ``data/paper``."""

    tables: Mapping[int, dict]
    claims: list[dict]
    equations: list[dict]
    labels: dict
    statements: list[dict]

    @classmethod
    def as_printed(cls) -> Paper:
        return cls(
            tables={number: tables.printed(number, Decimal) for number in tables.TABLES},
            claims=tables.read("claims", Decimal)["claims"],
            equations=tables.read("equations", Decimal)["equations"],
            labels=tables.read("glue-labels", Decimal),
            statements=tables.read("statements", Decimal)["statements"],
        )

    def cell(self, table: int, key: str | int, column: str) -> Decimal:
        return Decimal(tables.row(self.tables[table], key)[column])

    def rows(self, *numbers: int) -> Iterator[tuple[int, Any, dict]]:
        """(table, key of the row, row)."""
        for number in numbers:
            for row in self.tables[number]["rows"]:
                yield number, next(iter(row.values())), row

    def orders(self, table: int) -> int:
        """How many new orders the text gives for each row."""
        return self.tables[table]["setting"]["orders"]

    def tasks(self, metric: str | None = None) -> list[str]:
        """Table 8's tasks, or those of them scored by ``metric``."""
        columns = self.tables[8]["columns"][1:-1]
        return [column["name"] for column in columns if metric in (None, column["metric"])]

    def mean(self, method: str) -> Decimal:
        """Of a method's scores in Table 8, exactly."""
        scores = [self.cell(8, method, task) for task in self.tasks()]
        return sum(scores, Decimal(0)) / len(scores)

    def scores(self, task: str) -> list[Decimal]:
        """The distinct scores printed for a task in Tables 4 and 8."""
        of_methods = {self.cell(8, method, task) for _, method, _ in self.rows(8)}
        of_orders = {
            row[column]
            for _, name, row in self.rows(4)
            for column in ("baseline", "worst", "best")
            if name == task
        }
        return sorted(of_methods | of_orders)

    def labelled_tasks(self) -> list[str]:
        """Tasks whose labels in the public validation set were counted."""
        return [row["task"] for row in self.labels["rows"]]

    def label_counts(self, task: str) -> tuple[int, int]:
        """Examples of the majority and of the minority class in the public validation set."""
        row = tables.row(self.labels, task)
        return row["majority"], row["minority"]

    def equation(self, number: int) -> dict:
        return next(e for e in self.equations if e["number"] == number)
