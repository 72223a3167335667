"""The paper's tables as data, and the audit: what is wrong is found, and is gone once corrected."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from labkit import cli
from labkit.audit import claims as paper_module
from labkit.audit import tables as paper_tables
from labkit.audit.claims import SEVERITIES, Finding, Paper, audit
from labkit.audit.tables import printed, row
from labkit.core.assets import data_dir
from labkit.core.errors import LabError

TASKS = ["mnli", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte"]


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
    table = paper_tables.read(name)
    assert {"title", "source", "setting", "columns", "rows"} <= set(table)
    columns = [column["name"] for column in table["columns"]]
    assert all(list(row) == columns for row in table["rows"])
    numbers = [x for row in table["rows"] for x in row.values() if isinstance(x, int | float)]
    assert numbers and all(0 <= number <= 133 for number in numbers)


def test_tpts_two_tables_tell_of_the_same_prompts() -> None:
    """A prompt on its own task is the diagonal of the one and the accuracy in the other."""
    grid, started = paper_tables.read("tpt-zero-shot"), paper_tables.read("tpt-initialisation")
    assert [row["source"] for row in grid["rows"]] == [row["task"] for row in started["rows"]]
    for across, alone in zip(grid["rows"], started["rows"], strict=True):
        assert abs(across[across["source"]] - alone["prompt"]) <= 0.5 + 1e-9


def test_tpts_cells_give_what_the_article_says_of_them() -> None:
    """80.8 % and 56.6 % of the target's own score are kept, from cells rounded to whole points."""
    grid = paper_tables.read("tpt-zero-shot")
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
    monkeypatch.setattr(paper_tables, "PAPER", tmp_path)
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

EXPECTED = {
    "arithmetic": {
        "table8-mean-FT",
        "table8-mean-Ours+positions",
        "headline-gain",
        "table3-orders-0-50",
        "table2-too-many-orders-20",
        "table5-too-many-orders-5",
    },
    "protocol": {
        "two-scores-sst2-table1",
        "random-orders-win",
        "majority-mrpc",
        "majority-rte",
        "below-minority-mrpc",
        "below-minority-rte",
        "impossible-scores-rte",
        "half-of-validation-mrpc",
        "half-of-validation-rte",
        "gains-within-noise",
        "lengths-within-noise",
        "table8-mixed-mean",
    },
    "prose": {
        "claim-bert-base-gain",
        "claim-first-80",
        "claim-first-90",
        "claim-sst2-sorter-gain",
        "claim-qnli-over-fine-tuning",
        "stsb-above-fine-tuning",
        "size-of-data",
        "longer-blocks",
        "size-of-model",
        "positions-alone",
    },
    "equation": {"equations-11-13", "equation-14", "equations-2-3", "equation-5"},
    "not stated": {
        "not-stated-model",
        "not-stated-seeds",
        "not-stated-interval",
        "not-stated-held-out",
    },
}


def test_finds_what_does_not_add_up_and_nothing_else(as_printed: Paper) -> None:
    """All that reading the paper by hand has found; each id once, each part of it filled."""
    found = audit(as_printed)
    by_severity = {s: {f.id for f in found if f.severity == s} for s in SEVERITIES}
    assert by_severity == EXPECTED
    assert len({f.id for f in found}) == len(found)
    assert all(all(vars(f).values()) for f in found)


# (finding, words that its outcome must hold), computed by hand from the paper's pages
OUTCOMES = [
    ("table8-mean-FT", "88.3", "cut"),
    ("table8-mean-Ours+positions", "83.2"),
    ("headline-gain", "1.7 points", "2.1 %"),
    ("table3-orders-0-50", "190"),
    ("table2-too-many-orders-20", "119"),
    ("table5-too-many-orders-5", "119"),
    ("two-scores-sst2-table1", "1.4 apart", "91.9, is below"),
    ("random-orders-win", "3 of 4", "sst2 94.3 > 91.9", "stsb 91.0 = 91.0", "mrpc 70.6 < 72.1"),
    ("majority-mrpc", "68.4"),
    ("majority-rte", "52.7"),
    ("below-minority-mrpc", "31.6"),
    ("impossible-scores-rte", "6 of 6", "k/277"),
    ("half-of-validation-rte", "k/139"),
    ("half-of-validation-mrpc", "k/204"),
    ("gains-within-noise", "6 of 7 gains"),
    ("lengths-within-noise", "5 of 5"),
    ("claim-bert-base-gain", "1.1"),
    ("claim-first-80", "81"),
    ("claim-sst2-sorter-gain", "0.6", "right for Ours+positions"),
    ("claim-qnli-over-fine-tuning", "0.0", "right for Ours+positions"),
    ("stsb-above-fine-tuning", "90.3", "89.7"),
    ("size-of-model", "17 times"),
    ("positions-alone", "0.6 points", "mnli, qqp"),
    ("equations-11-13", "[0, 0]"),
    ("equation-14", "-1"),
    ("equation-5", "28"),
]


@pytest.mark.parametrize("expected", OUTCOMES, ids=lambda expected: expected[0])
def test_what_comes_out(findings: dict[str, Finding], expected: tuple[str, ...]) -> None:
    name, *words = expected
    for word in words:
        assert word in findings[name].comes_out


# ------------------------------------------------------------------------- corrected and worsened

Edit = Callable[[Paper], None]


def cell(table: int, key: str | int, column: str, value: float | str) -> Edit:
    def edit(paper: Paper) -> None:
        number = value if isinstance(value, int) else Decimal(value)
        row(paper.tables[table], key)[column] = number

    return edit


def setting(name: str, value: object) -> Edit:
    def edit(paper: Paper) -> None:
        for table in paper.tables.values():
            if name in table["setting"]:
                table["setting"][name] = value

    return edit


def claim(name: str, value: str) -> Edit:
    def edit(paper: Paper) -> None:
        next(c for c in paper.claims["claims"] if c["id"] == name)["value"] = Decimal(value)

    return edit


def equation(number: int, name: str, value: object) -> Edit:
    return lambda paper: paper.equation(number).update({name: value})


def every(*edits: Edit) -> Edit:
    def edit(paper: Paper) -> None:
        for each in edits:
            each(paper)

    return edit


def rename_mean(paper: Paper) -> None:
    paper.tables[8]["columns"][-1]["metric"] = "score"
    for column in paper.tables[8]["columns"][1:-1]:
        column["metric"] = "score"


def edited(paper: Paper, edit: Edit) -> Paper:
    changed = copy.deepcopy(paper)
    edit(changed)
    return changed


BEST = "Ours+positions"
CORRECTIONS = [
    ("table8-mean-FT", cell(8, "FT", "mean", "88.3")),
    ("table8-mean-Ours+positions", cell(8, BEST, "mean", "83.2")),
    ("headline-gain", lambda paper: paper.claims["headline"].update(value=Decimal("1.7"))),
    ("table3-orders-0-50", cell(3, "0-50", "equal", 24)),
    ("table2-too-many-orders-20", cell(2, 20, "worse", 110)),
    ("table5-too-many-orders-5", setting("orders", 119)),
    ("two-scores-sst2-table1", cell(8, "PT", "sst2", "92.3")),
    (
        "random-orders-win",
        every(
            cell(8, BEST, "sst2", "94.4"), cell(8, BEST, "stsb", "91.1"), cell(8, BEST, "rte", "62")
        ),
    ),
    ("majority-mrpc", cell(8, "PT", "mrpc", "85.0")),
    ("majority-rte", cell(8, "PT", "rte", "68.6")),
    ("below-minority-mrpc", cell(4, "mrpc", "worst", "31.7")),
    ("below-minority-rte", cell(4, "rte", "worst", "47.3")),
    ("half-of-validation-rte", cell(8, BEST, "rte", "59.9")),
    ("half-of-validation-mrpc", cell(8, BEST, "mrpc", "72.3")),
    ("gains-within-noise", every(*(cell(8, BEST, task, "99.0") for task in TASKS))),
    (
        "lengths-within-noise",
        every(*(cell(5, length, "best", "93.0") for length in (5, 10, 20, 50, 100))),
    ),
    ("table8-mixed-mean", rename_mean),
    ("claim-bert-base-gain", claim("bert-base-gain", "1.1")),
    ("claim-first-80", claim("first-80", "81")),
    ("claim-first-90", claim("first-90", "91")),
    ("claim-sst2-sorter-gain", cell(8, "Ours", "sst2", "91.9")),
    ("claim-qnli-over-fine-tuning", cell(8, "Ours", "qnli", "93.1")),
    ("stsb-above-fine-tuning", cell(8, "FT", "stsb", "90.9")),
    ("size-of-data", every(cell(8, BEST, "qnli", "93.7"), cell(8, BEST, "stsb", "91.5"))),
    ("longer-blocks", cell(2, 5, "best", "92.9")),
    ("size-of-model", every(cell(6, "T5-base", "worst", "89.3"))),
    ("positions-alone", cell(8, BEST, "mean", "83.2")),
    ("equations-11-13", equation(11, "excludes_chosen", True)),
    ("equation-14", equation(14, "terms", {"one_hot": 1, "order": 1, "detached": -1})),
    ("equations-2-3", equation(3, "exponent_offset", 0)),
    ("equation-5", equation(5, "divisor", "sqrt(d)")),
    ("not-stated-model", setting("model", "Bert-large")),
    ("not-stated-seeds", setting("seeds", 3)),
    ("not-stated-interval", setting("interval", "95 %")),
    ("not-stated-held-out", setting("held_out", "half of the examples")),
]


@pytest.mark.parametrize(("name", "edit"), CORRECTIONS, ids=[name for name, _ in CORRECTIONS])
def test_a_corrected_copy_has_the_finding_no_more(as_printed: Paper, name: str, edit: Edit) -> None:
    assert name in ids(as_printed)
    assert name not in ids(edited(as_printed, edit))


def test_scores_of_a_possible_size_are_not_reported(as_printed: Paper) -> None:
    """RTE's six scores moved to the nearest k/277."""

    def edit(paper: Paper) -> None:
        for table, column in ((8, "rte"), (4, None)):
            for line in paper.tables[table]["rows"]:
                for name in (column,) if column else ("baseline", "worst", "best"):
                    if column or line["task"] == "rte":
                        right = round(line[name] * 277 / 100)
                        line[name] = Decimal(f"{100 * right / 277:.1f}")

    found = ids(edited(as_printed, edit))
    assert not {"impossible-scores-rte", "half-of-validation-rte"} & found


def test_every_finding_has_its_correction() -> None:
    """So that none can be one that is always reported."""
    tested = {name for name, _ in CORRECTIONS} | {"impossible-scores-rte"}
    assert tested == set().union(*EXPECTED.values())


WORSENED = [
    ("table8-mean-PT", cell(8, "PT", "mean", "81.6")),
    ("table1-orders-T5-base", cell(1, "T5-base", "worse", 488)),
    ("table2-orders-5", cell(2, 5, "equal", 3)),
    ("table7-total-stsb", cell(7, "stsb", "total", "8.73")),
    ("table7-total-qqp", cell(7, "qqp", "train", 354)),
    ("table3-too-many-orders-0-50", cell(3, "0-50", "worse", 10**70)),
    ("two-scores-mrpc-table4", cell(4, "mrpc", "baseline", "70.0")),
    ("two-scores-stsb-table5", cell(5, 100, "baseline", "90.4")),
    ("impossible-scores-mrpc", cell(8, "Ours", "mrpc", "69.7")),
    ("claim-roberta-base-gain", cell(1, "RoBERTa-base", "best", "93.9")),
    ("claim-bert-large-worse", cell(1, "Bert-large", "worse", 480)),
    ("claim-last-90", claim("last-90", "89")),
    ("claim-mrpc-after", cell(8, BEST, "mrpc", "72.2")),
]


@pytest.mark.parametrize(("name", "edit"), WORSENED, ids=[name for name, _ in WORSENED])
def test_an_error_put_in_is_found(as_printed: Paper, name: str, edit: Edit) -> None:
    assert name not in ids(as_printed)
    assert name in ids(edited(as_printed, edit))


def test_rounding_of_a_total_is_not_an_error(as_printed: Paper) -> None:
    """RTE: 2.49 + 0.27 + 3 is 5.76 against 5.77, and 3 k may be anything from 2.5 to 3.5."""
    assert not any(name.startswith("table7") for name in ids(as_printed))
    total = edited(as_printed, cell(7, "rte", "total", "6.2"))
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
    found = {t for t in range(1001) if paper_module._is_possible(Decimal(t).scaleb(-1), n)}
    assert found == possible


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
    low, high = paper_module._pearson_interval(Decimal("90.3"), n)
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
        name: bool(list(paper_module.not_a_permutation(as_printed, order)))
        for name, order in orders.items()
    }
    distinct = {name: len(set(np.argmax(order, -1))) == 2 for name, order in orders.items()}
    assert distinct == {"agreeing": True, "repeating": False}
    assert found == {name: not whole for name, whole in distinct.items()}


def test_most_numbers_of_the_text_are_right(as_printed: Paper) -> None:
    """The audit reports exceptions: the other claims were computed too, and hold."""
    claims = as_printed.claims["claims"]
    wrong = [name for name in ids(as_printed) if name.startswith("claim-")]
    assert len({c["id"] for c in claims}) == len(claims) == 52
    assert len(wrong) == 5
    without = replace(as_printed, claims={**as_printed.claims, "claims": []})
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
    assert result == {"findings": [vars(finding) for finding in audit(as_printed)]}
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
    monkeypatch.setattr(paper_tables, "PAPER", tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit"])
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ") and "table1.json" in captured.err
