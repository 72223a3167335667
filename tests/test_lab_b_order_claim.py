"""Lab B: a plan is locked before it is carried out, and what changes afterwards is seen."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from labkit.core.errors import LabError
from labkit.course.exercises import checks, plans
from labkit.course.exercises.guard import CheckFailed
from labkit.course.marking import student_package
from labkit.shuffle_probe import Probe

EXAMPLES = sorted((ROOT / "docs/lab_b_examples").glob("*.md"))


def plan() -> dict:
    return {
        "claim": "Single tokens cost over a point more than blocks of five.",
        "rows": {
            "single": {"prompt": "minilm-rt-polarity", "orders": "random"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 6,
        "sentences": 50,
        "seed": 0,
        "budget": 700,
        "compare": ["single", "blocks"],
        "margin": 0.01,
    }


def probe(cost: float, orders: int = 40, sentences: int = 400, seed: int = 0) -> Probe:
    """All right in the trained order; each other order is wrong on ``cost`` of the sentences."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, sentences)
    wrong = random.random((orders, sentences)) < cost
    predictions = np.where(wrong, 1 - targets, targets)
    return Probe(np.zeros((orders, 2), int), predictions, targets, targets, "accuracy")


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Rows in the order in which they were scored; a row in blocks loses less."""
    rows: list[dict] = []

    def fake(of_plan: dict, row: dict) -> Probe:
        rows.append(row)
        return probe(0.05 if "unit" in row else 0.25, seed=len(rows))

    monkeypatch.setattr(plans, "_probe", fake)
    return rows


def changes() -> list[dict]:
    """The plan with one thing changed, wherever it stands."""
    changed = [plan() for _ in range(6)]
    changed[0]["claim"] += " Or so."
    changed[1]["rows"]["blocks"]["unit"] = 4
    changed[2]["margin"] = 0.011
    changed[3]["compare"].reverse()
    changed[4]["seed"] = 1
    changed[5]["budget"] += 1
    return changed


def test_anything_that_changes_in_a_plan_changes_its_lock() -> None:
    locks = {plans.lock(each) for each in [plan(), plan(), *changes()]}
    assert len(locks) == 1 + len(changes())
    reordered = dict(reversed(plan().items()))
    assert plans.lock(reordered) == plans.lock(plan()), "the order of keys says nothing"


def test_a_plan_that_changed_after_it_was_locked_is_not_carried_out(
    scored: list[dict], tmp_path: Path
) -> None:
    locked = plans.lock(plan())
    for changed in changes():
        with pytest.raises(LabError, match="it was changed afterwards"):
            plans.carry_out(changed, locked, tmp_path)
    assert scored == [] and not list(tmp_path.iterdir())


def test_a_record_that_was_cut_off_is_named(scored: list[dict], tmp_path: Path) -> None:
    plans.carry_out(plan(), plans.lock(plan()), tmp_path)
    (log,) = tmp_path.iterdir()
    log.write_text(log.read_text("utf-8") + '{"pl', "utf-8")
    with pytest.raises(LabError, match=rf"{log.name}, line 2, .* delete this line"):
        plans.carry_out(plan(), plans.lock(plan()), tmp_path)


def test_a_record_carries_its_lock_its_seal_and_the_plans_run_before(
    scored: list[dict], tmp_path: Path
) -> None:
    first, second = plan(), plan() | {"seed": 1}
    record = plans.carry_out(first, plans.lock(first), tmp_path)
    assert record["plan"] == plans.lock(first) and record["earlier"] == []
    assert scored == list(first["rows"].values())
    again = plans.carry_out(second, plans.lock(second), tmp_path)
    assert again["earlier"] == [plans.lock(first)]
    assert plans.carry_out(first, plans.lock(first), tmp_path)["earlier"] == [plans.lock(second)]

    copied = json.loads(json.dumps(record))
    assert plans.is_sealed(copied)
    copied["effect"][0] += 0.0001
    assert not plans.is_sealed(copied)
    copied = json.loads(json.dumps(again))
    copied["earlier"] = []
    assert not plans.is_sealed(copied)


def test_the_effect_is_the_first_cost_minus_the_second(scored: list[dict], tmp_path: Path) -> None:
    record = plans.carry_out(plan(), plans.lock(plan()), tmp_path)
    value, low, high = record["effect"]
    rows = record["rows"]
    costs = [rows[name]["trained"] - rows[name]["mean"] for name in ("single", "blocks")]
    assert value == pytest.approx(costs[0] - costs[1], abs=2e-4)
    assert low < 0.2 < high and high - low < 0.1, "0.25 and 0.05 were planted"


def test_equal_rows_have_no_effect_and_few_sentences_a_wide_interval() -> None:
    value, low, high = plans.effect(probe(0.2, seed=1), probe(0.2, seed=1))
    assert value == 0 and low < 0 < high
    few = plans.effect(probe(0.3, sentences=50, seed=2), probe(0.1, sentences=50, seed=3))
    many = plans.effect(probe(0.3, sentences=800, seed=2), probe(0.1, sentences=800, seed=3))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_interval_covers_with_as_few_orders_as_a_plan_may_have() -> None:
    """Orders that differ much, the same 400 sentences for both rows: what five say is little."""
    covered = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        targets, hard = np.ones(400, int), random.normal(0, 0.1, 400)

        def shuffled(random=random, hard=hard, targets=targets) -> Probe:
            chance = 0.7 + random.normal(0, 0.1, (plans.LEAST_ORDERS, 1)) + hard
            right = (random.random(chance.shape) < chance).astype(int)
            return Probe(np.zeros((len(right), 2), int), right, targets, targets, "accuracy")

        _, low, high = plans.effect(shuffled(), shuffled())
        covered += low <= 0 <= high
    assert covered >= 0.95 * 400  # a bootstrap of the five orders stays below


def test_all_orders_that_there_are_stand_for_no_others() -> None:
    """Reversal, rotations, swaps, blocks of which each arrangement is read."""
    few, many = probe(0.1, orders=1, seed=1), probe(0.3, orders=40, seed=2)
    whole = plans.effect(few, many, drawn=(False, False))
    apart = many.correct.mean(axis=0) - few.correct.mean(axis=0)
    assert whole.high - whole.low == pytest.approx(2 * 1.96 * stats.sem(apart), rel=1e-3)
    with pytest.raises(LabError, match="how far others lie apart"):
        plans.effect(few, many)


@pytest.mark.parametrize(
    ("of_row", "orders", "says"),
    [
        ({}, 4, "draws that many at random"),
        ({}, 5, None),
        ({"unit": 10}, 1, None),  # two blocks: the one other order is there
        ({"unit": 7}, 4, "row 'blocks' draws"),  # three blocks, five other orders
        ({"unit": 7}, 5, None),
        ({"unit": True}, 5, "'unit' is True"),
        ({"fixed": [0]}, 5, "'fixed' is [0]"),
        ({"fixed": [0, 3, 7]}, 5, "two whole numbers"),
        ({"fixed": "03"}, 5, "two whole numbers"),
        ({"fixed": [0, 2.0]}, 5, "two whole numbers"),
        ({"fixed": (0, 2)}, 5, None),
    ],
)
def test_few_orders_and_parts_that_are_none_are_refused(
    of_row: dict, orders: int, says: str | None
) -> None:
    wrong = plan() | {"orders": orders}
    wrong["rows"]["blocks"] = {"prompt": "minilm-rt-polarity", "orders": "random", **of_row}
    wrong["rows"]["single"] = {"prompt": "minilm-rt-polarity", "orders": "swaps"}
    wrong["budget"] = 20_000
    found = plans.problem(wrong)
    assert (found is None) if says is None else says in (found or "it went through")


def test_the_passes_of_a_plan_are_every_sentence_in_every_order() -> None:
    assert plans.forward_passes(plan()) == 2 * (6 + 1) * 50
    backwards = plan()
    backwards["rows"]["blocks"] = {"prompt": "minilm-rt-polarity", "orders": "reversal"}
    assert plans.forward_passes(backwards) == (6 + 1) * 50 + (1 + 1) * 50


@pytest.mark.parametrize(
    ("claim", "whole"),
    [
        ("Swaps cost a point more.", True),
        ("Swaps cost more.", False),
        ("每五个连在一起的块，比单个虚拟词元的随机顺序少丢一个百分点以上。", True),
        ("minilm 的块少丢两个百分点", True),
        ("顺序重要吗？", False),
        ("？ ！ 。 — …", False),
    ],
)
def test_a_claim_is_a_sentence_in_either_language(claim: str, whole: bool) -> None:
    wrong = plans.problem(plan() | {"claim": claim})
    assert (wrong is None) if whole else "can turn out false" in (wrong or "it went through")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "minilm-rt-polarity", "orders": "random", "unit": 20}, "no other order"),
        ({"prompt": "minilm-rt-polarity", "orders": "random", "fixed": [0, 40]}, "fixed part"),
        ({"prompt": "minilm-rt-polarity", "orders": "random", "fixed": 3}, "row 'blocks'"),
        ({"prompt": "minilm-rt-polarity", "orders": "random", "blocks": 5}, "no part of a row"),
        ({"prompt": "minilm-rt-polarity", "orders": "swaps", "unit": 5}, "belong to random"),
        ({"prompt": "../secrets", "orders": "random"}, "is none of"),
        ("minilm", "a dictionary with"),
    ],
)
def test_a_row_that_can_not_be_scored_is_named(row: object, says: str) -> None:
    wrong = plan()
    wrong["rows"]["blocks"] = row
    assert says in (plans.problem(wrong) or "it went through")
    with pytest.raises(LabError):
        plans.lock(wrong)


def test_a_row_that_says_what_holds_anyway_is_no_other_row() -> None:
    same = plan()
    same["rows"]["blocks"] = same["rows"]["single"] | {"unit": 1}
    assert plans.problem(same) == "the two rows that are compared are the same"


def test_a_change_after_the_run_costs_lock_and_outcome(
    scored: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = plans.lock(plan())
    record = plans.carry_out(plan(), locked, tmp_path)
    word = plans.verdict(*record["effect"][1:], plan()["margin"])

    def outcome() -> tuple[str, str]:
        return json.dumps(record), word

    checks.check_plan_lock(lambda: locked, plan)
    checks.check_outcome(outcome, plan, lambda: locked)
    assert capsys.readouterr().out.count("✓") == 2
    for changed in changes():
        with pytest.raises(CheckFailed, match="was changed after it was locked"):
            checks.check_plan_lock(lambda: locked, lambda changed=changed: copy.deepcopy(changed))
        relocked = plans.lock(changed)
        with pytest.raises(CheckFailed, match="a result of another plan"):
            checks.check_outcome(
                outcome, lambda changed=changed: changed, lambda relocked=relocked: relocked
            )


# ---- the examples for instructors ----


def blocks(path: Path) -> list[dict]:
    return [json.loads(t) for t in re.findall(r"```json\n(.*?)```", path.read_text("utf-8"), re.S)]


def test_there_are_three_examples_and_students_get_none() -> None:
    assert [path.stem for path in EXAMPLES] == ["middling", "strong", "weak"]
    given = (*student_package.FOLDERS, *student_package.FILES)
    assert not [name for name in given if "docs/lab_b_examples".startswith(name)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_the_record_of_its_plan_and_follows_its_rule(path: Path) -> None:
    example_plan, record = blocks(path)
    assert plans.problem(example_plan) is None
    assert plans.lock(example_plan) == record["plan"] and plans.is_sealed(record)
    assert record["passes"] == plans.forward_passes(example_plan)
    text = path.read_text("utf-8")
    word = plans.verdict(*record["effect"][1:], example_plan["margin"])
    assert f"By the rule: **{word}**" in text
    given = [int(points) for points in re.findall(r"^\| .* \| (\d) \| .* \|$", text, re.MULTILINE)]
    assert len(given) == 6 and f"**{sum(given)} of 12**" in text


def test_the_weak_example_was_not_the_first_plan() -> None:
    _, record = blocks(ROOT / "docs/lab_b_examples/weak.md")
    assert len(record["earlier"]) == 1
