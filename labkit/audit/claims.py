"""The numbers that the text takes from a table, as ``data/paper/claims.json`` has them.

A claim is one of four kinds: a ``cell``, a ``difference`` of two cells, the ``share`` of the orders
in percent, or how many ``indices`` a row of Table 3 holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from labkit.audit.numbers import indices, rounded
from labkit.audit.paper import Paper

_UNITS = {"cell": "%", "difference": "points", "share": "%", "indices": "virtual tokens"}


def claims_hold(paper: Paper) -> Iterator[Mapping[str, object]]:
    """Each number that the text takes from a table, taken from it again."""
    for claim in paper.claims:
        stated, right = Decimal(claim["value"]), _claimed(paper, claim)
        if rounded(right, stated) != stated:
            table, key, column = claim["of"]
            fits = _rows_that_fit(paper, claim)
            yield dict(
                claim,
                table=table,
                row=key,
                column=column,
                right=right,
                unit=_UNITS[claim["kind"]],
                computation=_computation(claim),
                fits=f"; right for {', '.join(fits)}" if fits else "",
            )


def _difference(paper: Paper, claim: Mapping) -> Decimal:
    return paper.cell(*claim["of"]) - paper.cell(*claim["minus"])


def _claimed(paper: Paper, claim: Mapping) -> Decimal:
    """What the table gives for it."""
    table, key, _ = claim["of"]
    if claim["kind"] == "difference":
        return _difference(paper, claim)
    if claim["kind"] == "indices":
        return Decimal(indices(key))
    cell = paper.cell(*claim["of"])
    return 100 * cell / paper.orders(table) if claim["kind"] == "share" else cell


def _computation(claim: Mapping) -> str:
    """Of a claim, in words."""
    table, key, column = claim["of"]
    place = f"{key}, {column}"
    if claim["kind"] == "difference":
        other, other_key, other_column = claim["minus"]
        return f"Table {table}: {place}, minus Table {other}: {other_key}, {other_column}"
    if claim["kind"] == "indices":
        return f"{key} with both ends counted; the first index is 0"
    return f"Table {table}: {place}" + (" of all orders" if claim["kind"] == "share" else "")


def _rows_that_fit(paper: Paper, claim: Mapping) -> list[str]:
    """Other rows of the table for which a wrong difference would be right."""
    if claim["kind"] != "difference":
        return []
    table, stated_for, column = claim["of"]
    others = [key for _, key, _ in paper.rows(table) if key not in (stated_for, claim["minus"][1])]
    return [
        str(key)
        for key in others
        if _difference(paper, {**claim, "of": [table, key, column]}) == claim["value"]
    ]
