"""A printed table recomputed: what is right stays, what can't be is named with what could."""

from __future__ import annotations

from decimal import Decimal

import pytest

from labkit.audit.recompute import nearest, recompute
from labkit.audit.tables import printed
from labkit.core.errors import LabError


def test_the_mean_of_the_headline_row_does_not_come_out():
    means = {row["method"].printed: row["mean"] for row in recompute(8, {"rte": 277})}
    assert means["FT"].right == "88.3" and means["PT"].right is None
    assert means["Ours+positions"] == ("84.6", "83.2", "mean")


def test_scores_are_held_against_every_count_that_there_is():
    for row in recompute(8, {"rte": 277}):
        cell = row["rte"]
        possible = {round(100 * k / 277, 1) for k in range(278)}
        assert cell.kind == "score"
        assert (cell.right is None) == (float(cell.printed) in possible)
        if cell.right is not None:
            assert float(cell.right) in possible
            distance = abs(float(cell.right) - float(cell.printed))
            others = [abs(p - float(cell.printed)) for p in possible]
            assert distance == pytest.approx(min(others))
        assert row["mrpc"].kind == "plain"  # nobody said how many examples
    by_task = {row["task"].printed: row for row in recompute(4, {"rte": 277, "stsb": 1500})}
    assert by_task["rte"]["worst"].kind == "score"
    assert by_task["mrpc"]["worst"].kind == by_task["stsb"]["worst"].kind == "plain"  # r: no count


def test_orders_and_splits_are_added_up():
    for table in (1, 2, 3):
        orders = printed(table)["setting"]["orders"]
        for row in recompute(table, {"sst2": 872}):
            worse, better, equal = (int(row[c].printed) for c in ("worse", "better", "equal"))
            assert (row["equal"].right is None) == (worse + better + equal == orders)
            if row["equal"].right is not None:
                assert worse + better + int(row["equal"].right) == orders
    totals = {row["task"].printed: row["total"] for row in recompute(7, {})}
    assert all(cell.kind == "total" for cell in totals.values())
    assert totals["rte"].right is None  # 2.49 + 0.27 + 3: the 3 may be anything from 2.5 to 3.5


@pytest.mark.parametrize("n", [0, -3])
def test_a_test_set_without_examples_is_refused(n):
    with pytest.raises(LabError, match="at least 1"):
        recompute(8, {"rte": n})


@pytest.mark.parametrize(("score", "n"), [("100.0", 3), ("0.0", 7), ("66.6", 3), ("99.9", 1)])
def test_the_nearest_score_is_one_that_there_is(score, n):
    best = min((round(100 * k / n, 1) for k in range(n + 1)), key=lambda p: abs(p - float(score)))
    assert float(nearest(Decimal(score), n)) == pytest.approx(best)
