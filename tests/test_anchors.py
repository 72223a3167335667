"""Anchor words: a prompt is found again where its words stand, in any model that has them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import anchor_transfer
from labkit.experiments.base import runner
from labkit.prompt_transfer import anchors
from labkit.prompt_transfer.anchors import by_anchors, placed, relative, shared_words
from labkit.soft_prompt import SoftPrompt, save_prompt


def words_of(backbone, ids):
    return [t.lstrip("Ġ▁#") for t in backbone.tokenizer.convert_ids_to_tokens(ids.tolist())]


@pytest.mark.parametrize("pair", [("bert-encoder", "llama"), ("t5", "bert"), ("gpt2", "t5")])
def test_shared_words_are_the_same_words(tiny_backbone, pair):
    one, other = (tiny_backbone(family) for family in pair)
    first, second = shared_words(one, other)
    assert words_of(one, first) == words_of(other, second)
    assert len(set(words_of(one, first))) == len(first) >= anchors.FEWEST
    few, _ = shared_words(one, other, 8)
    assert few.tolist() == first[:8].tolist()


def test_models_without_shared_words_are_refused(tiny_backbone, monkeypatch):
    monkeypatch.setattr(anchors, "FEWEST", 10_000)
    with pytest.raises(LabError, match="too few to describe"):
        shared_words(tiny_backbone("bert"), tiny_backbone("llama"))


def test_a_turned_and_scaled_copy_of_a_space_is_seen_through():
    """The same words in a space that is rotated, moved and stretched: the prompt comes along."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(200, 16, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(16, 16, generator=generator))
    moved = 3.0 * words @ turn + torch.randn(16, generator=generator)
    prompt = torch.randn(6, 16, generator=generator)
    there = placed(relative(prompt, words), moved)
    wanted = 3.0 * (prompt - words.mean(0)) @ turn
    cosines = F.cosine_similarity(there - moved.mean(0), wanted, dim=-1)
    assert cosines.min() > 0.999
    # with the words paired wrongly it does not
    astray = placed(relative(prompt, words), moved[torch.randperm(200, generator=generator)])
    assert F.cosine_similarity(astray - moved.mean(0), wanted, dim=-1).max() < 0.8


def test_cosines_are_taken_from_the_centre():
    words = torch.tensor([[5.0, 1.0], [5.0, -1.0], [7.0, 0.0], [3.0, 0.0]])
    described = relative(torch.tensor([[6.0, 0.0]]), words)
    assert described[0].tolist() == pytest.approx([0.0, 0.0, 1.0, -1.0], abs=1e-6)
    # the anchors lie 1, 1, 2 and 2 from (5, 0), where what is found leaves for: 1.5 to its right
    assert placed(described, words)[0].tolist() == pytest.approx([6.5, 0.0], abs=1e-3)
    with pytest.raises(LabError, match="by 4 anchors, and 3"):
        placed(described, words[:3])


def test_a_model_finds_its_own_prompt_again(tiny_backbone):
    backbone = tiny_backbone("bert")
    rows = backbone.model.get_input_embeddings().weight.detach()[20:25]
    there = by_anchors(rows, backbone, backbone)
    ids, _ = shared_words(backbone, backbone)
    centre = backbone.model.get_input_embeddings().weight.detach()[ids].mean(0)
    assert F.cosine_similarity(there - centre, rows - centre, dim=-1).min() > 0.98


def test_rows_read_what_they_name(monkeypatch, tiny_backbone, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr("labkit.experiments.base.kept.PROMPTS", tmp_path / "kept")
    source = str(tiny_folder("bert-encoder"))
    monkeypatch.setitem(anchor_transfer.SOURCE_MODEL, "causal", source)
    prompts = {}
    for family in ("bert-encoder", "llama"):
        backbone = tiny_backbone(family)
        prompts[family] = SoftPrompt.from_uniform(backbone, 4, seed=1)
        model = PromptedModel.for_task(backbone, tiny_task)
        save_prompt(tmp_path / "kept" / f"{family}-tiny", prompts[family], model)
    folder = str(tiny_folder("llama"))
    anchor_transfer.shared_backbone.cache_clear()
    result = experiments.run("anchor-transfer", backbone=folder, out=tmp_path, seeds=(0,))
    rows = {row["setting"]: row for row in result["rows"]}
    assert list(rows) == list(anchor_transfer.INPUTS)
    backbone = anchor_transfer.shared_backbone(folder)
    model = PromptedModel.for_task(backbone, tiny_task)
    there = by_anchors(
        prompts["bert-encoder"]().detach(), anchor_transfer.shared_backbone(source), backbone
    )
    assert rows["anchors"]["value"] == evaluate(model, SoftPrompt(there), tiny_task).value
    bare = PromptedModel.for_task(backbone, tiny_task, soft=False)
    own = evaluate(model, prompts["llama"], tiny_task).value
    assert rows["its own prompt"]["value"] == own
    assert rows["no prompt"]["value"] == evaluate(bare, None, tiny_task).value
    assert rows["anchors"]["anchors"] == rows["anchors paired at random"]["anchors"] > 8
    with pytest.raises(LabError, match="keeps no prompt of bert-encoder for tiny with seed 7"):
        anchor_transfer.kept_vectors(source, "tiny", 7)
