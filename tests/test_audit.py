"""The paper's tables as data, and the audit: what is wrong is found, and is gone once corrected."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from labkit import cli
from labkit.audit import tables
from labkit.audit.equations import keeps_every_token
from labkit.audit.findings import SEVERITIES, Finding, audit
from labkit.audit.numbers import is_possible, pearson_interval
from labkit.audit.paper import Paper
from labkit.audit.rules import RULES
from labkit.audit.tables import printed, row
from labkit.core.assets import data_dir
from labkit.core.errors import LabError
from labkit.experiments import ledger

TASKS = ["mnli", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte"]
BEST = "Ours+positions"

# The findings, read off the paper's pages by hand: words that the outcome must hold, and what in a
# corrected copy makes the finding go; and errors that are put in and must be found.
CASES = json.loads((ROOT / "tests/audit_cases.json").read_text("utf-8"), parse_float=Decimal)


@pytest.fixture(scope="module")
def as_printed() -> Paper:
    return Paper.as_printed()


@pytest.fixture(scope="module")
def findings(as_printed: Paper) -> dict[str, Finding]:
    return {finding.id: finding for finding in audit(as_printed)}


def ids(paper: Paper) -> set[str]:
    return {finding.id for finding in audit(paper)}


# ------------------------------------------------------------------------------------- the tables

# (table, row, column, value), read from the paper's pages by eye
CELLS = [
    (1, "Bert-base", "no_positions", 88.9),
    (1, "T5-base", "best", 94.3),
    (1, "RoBERTa-base", "better", 16),
    (2, 1, "worst", 87.9),
    (2, 20, "worse", 191),
    (3, "0-50", "worse", 133),
    (3, "10-99", "better", 152),
    (4, "rte", "worst", 44.6),
    (4, "mrpc", "baseline", 68.1),
    (5, 10, "baseline", 90.6),
    (5, 50, "worst", 90.0),
    (6, "T5-large", "worst", 89.5),
    (7, "stsb", "validation", 1.5),
    (7, "mnli", "total", 432),
    (8, "FT", "rte", 71.9),
    (8, "Ours", "sst2", 91.5),
    (8, "Ours+positions", "mean", 84.6),
]


@pytest.mark.parametrize(("table", "key", "column", "value"), CELLS)
def test_cells_stand_as_printed(table: int, key: str | int, column: str, value: float) -> None:
    assert row(printed(table), key)[column] == value


def test_every_table_is_whole() -> None:
    """As many rows as in the paper, no row twice, every cell under a column that is explained."""
    lengths = {1: 4, 2: 4, 3: 6, 4: 3, 5: 5, 6: 3, 7: 7, 8: 4}
    for number, length in lengths.items():
        table = printed(number)
        names = [column["name"] for column in table["columns"]]
        assert table["table"] == number
        assert table["title"]
        assert table["source"]["doi"] == "10.20165/j.cnki.ISSN1673-629X.2024.0187"
        assert len({line[names[0]] for line in table["rows"]}) == length == len(table["rows"])
        assert all(list(line) == names for line in table["rows"])


ARTICLES = ("spot-retrieval", "tpt-zero-shot", "tpt-initialisation", "ppt-few-shot")


@pytest.mark.parametrize("name", ARTICLES)
def test_tables_of_the_articles_are_whole(name: str) -> None:
    table = tables.read(name)
    assert {"title", "source", "setting", "columns", "rows"} <= set(table)
    columns = [column["name"] for column in table["columns"]]
    assert all(list(row) == columns for row in table["rows"])
    numbers = [x for row in table["rows"] for x in row.values() if isinstance(x, int | float)]
    assert numbers and all(0 <= number <= 133 for number in numbers)


def test_tpts_two_tables_tell_of_the_same_prompts() -> None:
    """A prompt on its own task is the diagonal of the one and the accuracy in the other."""
    grid, started = tables.read("tpt-zero-shot"), tables.read("tpt-initialisation")
    assert [row["source"] for row in grid["rows"]] == [row["task"] for row in started["rows"]]
    for across, alone in zip(grid["rows"], started["rows"], strict=True):
        assert abs(across[across["source"]] - alone["prompt"]) <= 0.5 + 1e-9


def test_tpts_cells_give_what_the_article_says_of_them() -> None:
    """80.8 % and 56.6 % of the target's own score are kept, from cells rounded to whole points."""
    grid = tables.read("tpt-zero-shot")
    cells = np.array([[row[t["source"]] for t in grid["rows"]] for row in grid["rows"]])
    kind = {task: kind for kind, tasks in grid["setting"]["kinds"].items() for task in tasks}
    kinds = np.array([kind[row["source"]] for row in grid["rows"]])
    shares = 100 * cells / cells.diagonal()
    same, own = kinds[:, None] == kinds, np.eye(len(kinds), dtype=bool)
    assert abs(shares[same & ~own].mean() - 80.8) < 1.5
    assert abs(shares[~same].mean() - 56.6) < 1.5


def test_decimals_keep_the_printed_digits() -> None:
    """0.40 k is a statement about ten examples, 0.4 k about a hundred."""
    assert str(row(printed(7, Decimal), "mrpc")["validation"]) == "0.40"
    assert str(row(printed(1, Decimal), "Bert-base")["best"]) == "91.0"


@pytest.mark.parametrize("number", [0, 9, "table1"])
def test_a_table_that_is_not_there_is_named(number: object) -> None:
    with pytest.raises(LabError, match=rf"no table {number!r}; choose one of 1, 2, .*8"):
        printed(number)


def test_a_row_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match=r"no method 'P-Tuning'; choose one of FT, PT, Ours"):
        row(printed(8), "P-Tuning")


def test_a_damaged_table_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table1.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(tables, "PAPER", tmp_path)
    for number in (1, 2):  # broken, and missing
        with pytest.raises(LabError, match=rf"table{number}\.json.*restore it"):
            printed(number)


@pytest.mark.parametrize("task", ["mrpc", "rte"])
def test_label_counts_are_those_of_the_published_files(task: str) -> None:
    folder = data_dir()
    file = folder / task / "validation.jsonl" if folder else None
    if file is None or not file.is_file():
        pytest.skip("needs LABKIT_DATA with the GLUE tasks")
    labels = [json.loads(line)["label"] for line in file.read_text("utf-8").splitlines()]
    counts = sorted(np.unique(labels, return_counts=True)[1].tolist(), reverse=True)
    assert counts == list(Paper.as_printed().label_counts(task))


# -------------------------------------------------------------------------------------- the audit


def test_finds_what_does_not_add_up_and_nothing_else(as_printed: Paper) -> None:
    """All that reading the paper by hand has found; each id once, each part of it filled."""
    listed = audit(as_printed)
    assert [f.severity for f in listed] == sorted(
        (f.severity for f in listed), key=SEVERITIES.index
    )
    assert {(f.severity, f.id) for f in listed} == {
        (c["severity"], c["id"]) for c in CASES["findings"]
    }
    assert len({f.id for f in listed}) == len(listed)
    assert all(all(vars(f).values()) for f in listed)


def test_every_rule_examines_a_statement(as_printed: Paper) -> None:
    assert {statement["rule"] for statement in as_printed.statements} == set(RULES)


@pytest.mark.parametrize("case", CASES["findings"], ids=lambda case: case["id"])
def test_what_comes_out(findings: dict[str, Finding], case: dict) -> None:
    for word in case["outcome"]:
        assert word in findings[case["id"]].comes_out


# ------------------------------------------------------------------------- corrected and worsened


def edited(paper: Paper, edits: list[list]) -> Paper:
    """A copy with other cells, settings, metrics, or fields of a claim, equation or statement."""
    changed = copy.deepcopy(paper)
    for what, *place, value in edits:
        if what == "cell":
            number, key, column = place
            row(changed.tables[number], key)[column] = value
        elif what == "setting":
            for table in changed.tables.values():
                if place[0] in table["setting"]:
                    table["setting"][place[0]] = value
        elif what == "metric":
            for column in changed.tables[place[0]]["columns"][1:]:
                column["metric"] = value
        else:
            name, field = place
            listed = getattr(changed, what)
            next(e for e in listed if name in (e.get("id"), e.get("number")))[field] = value
    return changed


CORRECTED = [case for case in CASES["findings"] if case["corrected_by"]]


@pytest.mark.parametrize("case", CORRECTED, ids=lambda case: case["id"])
def test_a_corrected_copy_has_the_finding_no_more(as_printed: Paper, case: dict) -> None:
    assert case["id"] in ids(as_printed)
    assert case["id"] not in ids(edited(as_printed, case["corrected_by"]))


def test_scores_of_a_possible_size_are_not_reported(as_printed: Paper) -> None:
    """RTE's six scores moved to the nearest k/277."""

    def nearest(score: Decimal) -> Decimal:
        return Decimal(f"{100 * round(score * 277 / 100) / 277:.1f}")

    edits = [
        ["cell", 8, line["method"], "rte", nearest(line["rte"])]
        for line in printed(8, Decimal)["rows"]
    ]
    orders = row(printed(4, Decimal), "rte")
    edits += [
        ["cell", 4, "rte", name, nearest(orders[name])] for name in ("baseline", "worst", "best")
    ]
    left = ids(edited(as_printed, edits))
    assert not {"impossible-scores-rte", "half-of-validation-rte"} & left


def test_every_finding_has_its_correction() -> None:
    """So that none can be one that is always reported."""
    uncorrected = [case["id"] for case in CASES["findings"] if not case["corrected_by"]]
    assert uncorrected == ["impossible-scores-rte"]  # the test above


@pytest.mark.parametrize("case", CASES["put_in"], ids=lambda case: case["id"])
def test_an_error_put_in_is_found(as_printed: Paper, case: dict) -> None:
    assert case["id"] not in ids(as_printed)
    assert case["id"] in ids(edited(as_printed, case["caused_by"]))


def test_rounding_of_a_total_is_not_an_error(as_printed: Paper) -> None:
    """RTE: 2.49 + 0.27 + 3 is 5.76 against 5.77, and 3 k may be anything from 2.5 to 3.5."""
    assert not any(name.startswith("table7") for name in ids(as_printed))
    total = edited(as_printed, [["cell", 7, "rte", "total", Decimal("6.2")]])
    assert not any(name.startswith("table7") for name in ids(total))


# ---------------------------------------------------------------------------- by independent means


def test_table_8_by_fractions(findings: dict[str, Finding]) -> None:
    means = {}
    for method in ("FT", "PT", "Ours", BEST):
        line = row(printed(8), method)
        means[method] = float(sum(Fraction(str(line[task])) for task in TASKS) / 7)
    assert f"({means['FT']:.3f})" in findings["table8-mean-FT"].comes_out
    assert f"({means[BEST]:.3f})" in findings["table8-mean-Ours+positions"].comes_out
    assert findings["headline-gain"].comes_out.startswith(f"{means[BEST] - means['PT']:.1f} ")


@pytest.mark.parametrize("n", [7, 139, 204, 277, 408, 872])
def test_possible_scores_by_listing_them(n: int) -> None:
    """In tenths of a percent, by integers: 1000 k / n, cut or rounded."""
    possible = {1000 * k // n for k in range(n + 1)}
    possible |= {(2000 * k + n) // (2 * n) for k in range(n + 1)}
    assert {t for t in range(1001) if is_possible(Decimal(t).scaleb(-1), n)} == possible


@pytest.mark.parametrize(("task", "right"), [("mrpc", 278), ("rte", 152)])
def test_majority_lies_in_the_interval(as_printed: Paper, task: str, right: int) -> None:
    majority, minority = as_printed.label_counts(task)
    n = majority + minority
    wilson = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson.low < majority / n < wilson.high
    assert f"[{100 * wilson.low:.1f}, {100 * wilson.high:.1f}]" in next(
        f.comes_out for f in audit(as_printed) if f.id == f"majority-{task}"
    )


def test_fisher_interval_keeps_its_coverage() -> None:
    """Of correlations drawn at r = 0.903 with 1,500 pairs, about 95 % lie inside."""
    r, n, draws = 0.903, 1500, 2000
    low, high = pearson_interval(Decimal("90.3"), n)
    random = np.random.default_rng(0)
    x, noise = random.standard_normal((2, draws, n))
    y = r * x + np.sqrt(1 - r**2) * noise
    found = [100 * np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    assert np.mean([(low <= value <= high) for value in found]) == pytest.approx(0.95, abs=0.02)


def test_gradient_of_equation_14_by_hand(as_printed: Paper) -> None:
    """A step against the printed gradient raises the soft loss; against the other it falls.

    loss(Order) = sum(Order P * W), so its gradient is W P^T, with no autograd.
    """
    prompt, weight = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, -2.0], [0.5, 4.0]])
    sign = as_printed.equation(14)["terms"]["order"]
    order = np.full((2, 2), 0.5)
    step = order - 0.01 * sign * weight @ prompt.T
    assert np.sum(step @ prompt * weight) > np.sum(order @ prompt * weight)


def test_steps_that_agree_lose_no_token(as_printed: Paper) -> None:
    orders = {"agreeing": [[0.1, 0.9], [0.8, 0.2]], "repeating": [[0.9, 0.1], [0.8, 0.2]]}
    found = {
        name: bool(list(keeps_every_token(as_printed, order))) for name, order in orders.items()
    }
    distinct = {name: len(set(np.argmax(order, -1))) == 2 for name, order in orders.items()}
    assert distinct == {"agreeing": True, "repeating": False}
    assert found == {name: not whole for name, whole in distinct.items()}


def test_most_numbers_of_the_text_are_right(as_printed: Paper) -> None:
    """The audit reports exceptions: the other claims were computed too, and hold."""
    claims = as_printed.claims
    wrong = [name for name in ids(as_printed) if name.startswith("claim-")]
    assert len({c["id"] for c in claims}) == len(claims) == 52
    assert len(wrong) == 5
    without = replace(as_printed, claims=[])
    assert not any(name.startswith("claim-") for name in ids(without))


# ------------------------------------------------------------------------------- the command line


def run_audit(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", *options])
    assert ended.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_audit_prints_one_json_object(
    capsys: pytest.CaptureFixture[str], as_printed: Paper, no_network: list[str]
) -> None:
    result = json.loads(run_audit(capsys, "--json"))
    assert result["findings"] == [vars(finding) for finding in audit(as_printed)]
    assert result["claims"] == ledger.read()["claims"]
    assert set(result) == {"findings", "claims"}
    assert no_network == []


def test_audit_prints_a_list_for_people(
    capsys: pytest.CaptureFixture[str], findings: dict[str, Finding]
) -> None:
    out = run_audit(capsys)
    words = " ".join(out.split())
    for finding in findings.values():
        assert finding.where in words
        assert " ".join(finding.comes_out.split()) in words
    assert max(map(len, out.splitlines())) <= 100
    assert out.rstrip().endswith(f"{len(findings)} findings")


def test_audit_of_a_broken_copy_says_what_to_restore(
    capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PAPER", tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit"])
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ") and "table1.json" in captured.err
