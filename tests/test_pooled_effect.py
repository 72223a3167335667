"""The order effect over prompts: an interval that covers, and rows that can be recounted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import order_effect
from labkit.experiments.base.rows import from_digits
from labkit.experiments.order_effect import ALL_FREE, effects_of, kinds
from labkit.shuffle_probe import incomplete_design, pooled_effect
from labkit.soft_prompt import SoftPrompt, load_prompt

TRUE_EFFECT = -0.05


def drawn_effects(random, prompts, sentences, of_prompt, of_sentence):
    """Answers that change by −1, 0 or 1, how often says the prompt and the sentence: (P, N)."""
    lost = -TRUE_EFFECT + random.normal(0, of_prompt, (prompts, 1))
    lost = lost + random.normal(0, of_sentence, sentences)
    chance = random.random((prompts, sentences))
    return -(chance < np.clip(lost + 0.1, 0, 1)).astype(float) + (chance > 0.9)


@pytest.mark.parametrize("spreads", [(0.03, 0.0), (0.0, 0.05), (0.02, 0.05)])
def test_the_interval_covers_the_effect_of_other_prompts_and_sentences(spreads):
    random = np.random.default_rng(0)
    worlds = [pooled_effect(drawn_effects(random, 5, 300, *spreads)) for _ in range(300)]
    # an answer is lost with the chance 0.05 + 0.1 on average, and gained with the chance 0.1
    covered = np.mean([world.low <= TRUE_EFFECT <= world.high for world in worlds])
    assert covered > 0.92


def test_sentences_alone_would_be_too_sure_of_prompts_that_lie_apart():
    random = np.random.default_rng(1)
    apart = pooled_effect(drawn_effects(random, 5, 2000, 0.05, 0.0))
    alike = pooled_effect(drawn_effects(random, 5, 2000, 0.0, 0.0))
    assert apart.high - apart.low > 2 * (alike.high - alike.low)


def test_the_interval_of_two_prompts_and_three_sentences_by_hand():
    effect = pooled_effect(np.array([[2.0, 1.0, 0.0], [0.0, -1.0, -2.0]]) + 5)
    # squares of the prompts' means 2 / (2 · 1), of the sentences' 2 / (3 · 2), of all 10 / 6²
    half = 12.7062 * (1 + 1 / 3 - 10 / 36) ** 0.5  # Student's t with one degree of freedom
    assert list(effect) == pytest.approx([5, 5 - half, 5 + half], rel=1e-5)


def test_one_prompt_says_nothing_of_others():
    with pytest.raises(LabError, match="at least two"):
        pooled_effect(np.zeros((1, 10)))


@pytest.fixture
def result(two_prompts):
    return two_prompts(*order_effect.EXPERIMENTS)


def test_each_kind_is_what_its_orders_give_one_by_one(result, tiny_task, tmp_path):
    row = result["rows"][1]
    model = PromptedModel.for_task(order_effect.shared_backbone(row["backbone"]), tiny_task)
    (folder,) = (tmp_path / "prompts").glob("*-seed1")
    vectors = load_prompt(folder)[0]().detach()
    plain = evaluate(model, SoftPrompt(vectors), tiny_task, limit=row["n"])
    assert from_digits(row["correct"]).tolist() == plain.correct.tolist()
    for name, shuffle in kinds(8).items():
        effect = row["effects"][name]
        design = incomplete_design(shuffle, 8, plain.n, per_sentence=effect["per_sentence"], seed=1)
        right = np.zeros(plain.n, dtype=int)
        for index, places in enumerate(design.orders):
            answers = evaluate(model, SoftPrompt(vectors[places]), tiny_task, limit=plain.n).correct
            read = design.sentence[design.order == index]
            right[read] += answers[read]
        assert [int(digit) for digit in effect["right"]] == right.tolist(), name


def test_the_pooled_effect_is_recounted_from_the_file(result, tmp_path):
    kept = json.loads((tmp_path / f"{result['file']}.json").read_text())
    assert {row["kind"] for row in kept["pooled"]} >= {ALL_FREE, "first token kept", "blocks of 2"}
    for row in kept["pooled"]:
        assert row["prompts"] == 2 and row["verdict"]["ci95"] == row["mean_difference"][1:]
        if row["kind"] in kept["rows"][0]["effects"]:
            by_prompt = effects_of(kept["rows"], row["kind"]).mean(axis=1)
            assert row["by_prompt"] == pytest.approx(by_prompt)


def test_a_prompt_that_has_not_learned_is_not_probed(result, monkeypatch, tmp_path):
    rows = [dict(row, learns=False) for row in result["rows"]]
    assert order_effect.pool(rows, tmp_path) == []


def rows_of(name, correct, right):
    """Two prompts of a model: what is right in the trained order, and in another one."""
    row = {"setting": name, "n": 4, "learns": True, "validation": 0.5, "ci95": [0.1, 0.9]}
    row |= {"correct": correct, "value": correct.count("1") / 4, "no_positions": {"correct": right}}
    row["effects"] = {ALL_FREE: {"right": right, "per_sentence": 1}}
    return [row | {"seed": seed} for seed in (0, 1)]


def test_answers_that_are_lost_agree_with_the_claim_and_answers_gained_do_not(tmp_path):
    rows = [*rows_of("lost", "1111", "0000"), *rows_of("gained", "0000", "1111")]
    rows += rows_of("some", "0110", "1100")
    pooled = order_effect.pool(rows, tmp_path)
    wanted = {"lost": (-1, "agrees"), "gained": (1, "disagrees"), "some": (0, "can't tell")}
    assert {(line["setting"], line["kind"]) for line in pooled} == {
        (name, kind) for name in wanted for kind in (ALL_FREE, "positions taken away")
    }
    for line in pooled:
        judged = line["mean_difference"][0], line["verdict"]["verdict"]
        assert judged == wanted[line["setting"]]
    result = {"name": "order-effect", "task": "films", "command": "c", "rows": rows}
    report = order_effect.as_markdown(result | {"pooled": pooled})
    # the interval is ± 12.7 · √(2 / 12): 1.43 times as much is seen in four of five cases
    assert report.count("(an effect of 7.4") == report.count("would have shown") == 2
