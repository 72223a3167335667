"""``order-search``: rows say which tokens stand where, and what the model makes of them."""

from __future__ import annotations

import pytest
import torch

from labkit import experiments
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import searches
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.soft_prompt import SoftPrompt, save_prompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def kept(tiny_backbone, tiny_folder, tiny_task, tmp_path, monkeypatch):
    """A tiny model, and a prompt of the course for it."""
    monkeypatch.setattr(searches, "PROMPTS", tmp_path / "prompts")
    monkeypatch.setattr(searches, "LENGTH", 5)
    monkeypatch.setattr(searches, "BUDGETS", {"causal": 200})
    monkeypatch.setattr(searches, "recipe_for", lambda *_: Recipe(length=5))
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
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
