"""``order-search``: rows say which tokens stand where, and what the model makes of them."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import mean_interval
from labkit.experiments import searches, sorter_memory
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.soft_prompt import SoftPrompt, save_prompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def kept(tiny_backbone, tiny_folder, tiny_task, tmp_path, monkeypatch):
    """A tiny model, and a prompt of the course for it."""
    monkeypatch.setattr("labkit.experiments.base.kept.PROMPTS", tmp_path / "prompts")
    monkeypatch.setattr(searches, "LENGTH", 5)
    monkeypatch.setattr(searches, "BUDGETS", {"causal": 200})
    monkeypatch.setattr(searches, "recipe_for", lambda *_: Recipe(length=5))
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(searches.order, "learns", lambda gate: True)  # a random prompt has not
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    generator = torch.Generator().manual_seed(5)
    prompt = SoftPrompt(torch.randn(5, backbone.hidden_size, generator=generator) * 0.5)
    save_prompt(tmp_path / "prompts" / "llama-tiny", prompt, model)
    return str(tiny_folder("llama")), model, prompt


def test_rows_are_orders_of_the_kept_prompt_and_their_scores(kept, tiny_task, tmp_path):
    folder, model, prompt = kept
    result = experiments.run("order-search", backbone=folder, seeds=(0,), out=tmp_path)
    rows = {row["setting"]: row for row in result["rows"]}
    # the same numbers need the same rounding as the rows had
    model = model.with_changes(backbone=searches.order.shared_backbone(folder))
    wanted = experiments.EXPERIMENTS["order-search"].settings(folder, "small")
    assert list(rows) == [setting.name for setting in wanted]
    for name, row in rows.items():
        plain = evaluate(model, SoftPrompt(prompt()[row["order"]]), tiny_task)
        assert row["value"] == plain.value, name
        if row["method"] is not None:
            given = rows[row["start"]]
            assert row["before"] == given["value"]
            assert 0 < row["forward_passes"] <= row["budget"]
            if row["is_permutation"]:
                assert sorted(row["order"]) == list(range(5))
            if row["method"] == "swap" or row.get("keep_given"):
                assert row["loss"] <= row["loss_before"]
    tuned = rows[searches.LSTM_TUNED]
    assert len({(each["lr"], each["temperature"]) for each in tuned["tried"]}) == 4
    once = rows["lstm"]["budget"]  # of each of the four searches
    assert 3 * once < tuned["forward_passes"] <= tuned["budget"] == 4 * once
    ordered = SoftPrompt(prompt()[tuned["order"]])
    best = evaluate(model, ordered, tiny_task, "validation").value
    assert tuned["validation"] == best == max(each["validation"] for each in tuned["tried"])
    assert rows["trained order"]["order"] == [0, 1, 2, 3, 4] != rows["shuffled"]["order"]
    guarded = {name: row["choose_by"] for name, row in rows.items() if "choose_by" in row}
    assert guarded == {
        "random, chosen on a development set": "validation",
        "random, chosen without labels": "entropy",
        "lstm, the trained order among its candidates": "train",
    }
    said = {v["claim"]: v for v in result["verdict"]}["swap − trained order"]
    assert said["difference"] == pytest.approx(
        rows["swap"]["value"] - rows["trained order"]["value"]
    )


def test_over_prompts_a_seed_is_another_prompt_and_another_shuffle(kept, tiny_task, tmp_path):
    folder, model, prompt = kept
    other = SoftPrompt(prompt().flip(0) * 2)
    save_prompt(tmp_path / "prompts" / "llama-tiny-seed1", other, model)
    result = experiments.run(
        "order-search-prompts",
        backbone=folder,
        seeds=(0, 1),
        out=tmp_path,
        only=["trained order", "shuffled", "swap"],
    )
    rows = {(row["setting"], row["seed"]): row for row in result["rows"]}
    model = model.with_changes(backbone=searches.order.shared_backbone(folder))
    for (name, seed), row in rows.items():
        vectors = (prompt, other)[seed]()
        plain = evaluate(model, SoftPrompt(vectors[row["order"]]), tiny_task)
        assert row["value"] == plain.value, (name, seed)
    assert rows["shuffled", 0]["order"] != rows["shuffled", 1]["order"]
    assert rows["swap", 1]["before"] == rows["shuffled", 1]["value"]
    pooled = {line["setting"]: line for line in result["pooled"]}
    assert pooled["swap − trained order"]["prompts"] == 2
    for name in ("swap − trained order", "swap − shuffled", "shuffled − trained order"):
        better, worse = name.split(" − ")
        gaps = [rows[better, seed]["value"] - rows[worse, seed]["value"] for seed in (0, 1)]
        assert pooled[name]["by_prompt"] == pytest.approx(gaps)
        low, high = mean_interval(gaps)  # of the prompts alone: the one of both is no narrower
        _, its_low, its_high = pooled[name]["mean_difference"]
        assert its_low <= low + 1e-12 and its_high >= high - 1e-12
    report = (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")
    assert all(f"| {name} | 2 |" in report for name in pooled)


@pytest.mark.parametrize("table", ["order-search", "sorter-memory"])
def test_another_model_of_that_name_does_not_get_the_courses_prompt(
    kept, tiny_folder, tmp_path, monkeypatch, table
):
    """A model of the same shape, tuned by somebody and saved in a folder that is called alike."""
    monkeypatch.setattr(sorter_memory, "LENGTH", 5)
    monkeypatch.setattr(sorter_memory, "recipe_for", lambda *_: Recipe(length=5))
    tuned = tmp_path / "mine" / "llama"
    shutil.copytree(tiny_folder("llama"), tuned)
    weights = load_file(tuned / "model.safetensors")
    changed = {name: tensor + 0.1 for name, tensor in weights.items()}
    save_file(changed, tuned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LabError, match="llama-tiny was made for"):
        experiments.run(table, backbone=str(tuned), seeds=(0,), out=tmp_path / "out")


def test_what_a_sorter_hands_back_is_held_against_the_shuffle_it_was_given(
    kept, tiny_task, tmp_path, monkeypatch
):
    folder, model, prompt = kept
    monkeypatch.setattr(sorter_memory, "LENGTH", 5)
    monkeypatch.setattr(sorter_memory, "recipe_for", lambda *_: Recipe(length=5))
    monkeypatch.setattr(sorter_memory, "BUDGET", 200)
    for seed in (1, 2):
        save_prompt(tmp_path / "prompts" / f"llama-tiny-seed{seed}", prompt, model)
    result = experiments.run("sorter-memory", backbone=folder, seeds=(0, 1), out=tmp_path)
    rows = result["rows"]
    assert [(row["setting"], row["seed"]) for row in rows] == [
        (f"prompt {prompt_seed}", seed) for seed in (0, 1) for prompt_seed in (0, 1, 2)
    ]
    shuffles = {row["seed"]: row["shuffle"] for row in rows}
    assert shuffles[0] != shuffles[1]
    assert {row["budget"] for row in rows} == {200}
    model = model.with_changes(backbone=searches.order.shared_backbone(folder))
    for row in rows:
        assert row["shuffle"] == shuffles[row["seed"]]
        chosen = row["order"]
        assert sorted(chosen) == list(range(5))
        assert row["value"] == evaluate(model, SoftPrompt(prompt()[chosen]), tiny_task).value
        # tau by its definition: the share of pairs in the same order, less that of the others
        for given, tau in ((row["shuffle"], row["tau"]), (list(range(5)), row["tau_trained"])):
            signs = [
                1 if chosen.index(given[i]) < chosen.index(given[j]) else -1
                for i in range(5)
                for j in range(i + 1, 5)
            ]
            assert tau == pytest.approx(sum(signs) / len(signs))


def test_over_prompts_no_pair_is_told_twice_and_nothing_is_found_again_from_the_trained_order(
    tmp_path,
):
    methods = {
        "trained order": (None, "trained order"),
        "shuffled": (None, "shuffled"),
        "random": ("random", "shuffled"),
        "lstm": ("lstm", "shuffled"),
        "swap from the trained order": ("swap", "trained order"),
    }
    rows = [
        {"setting": name, "method": method, "start": start, "seed": seed, "correct": "0110"}
        for name, (method, start) in methods.items()
        for seed in (0, 1)
    ]
    assert [line["setting"] for line in searches.pool(rows, tmp_path)] == [
        "shuffled − trained order",
        "random − trained order",
        "lstm − trained order",
        "swap from the trained order − trained order",
        "random − shuffled",
        "lstm − shuffled",
        "lstm − random",
    ]
