"""Wayward prompts: whatever is trained, each row stays nearest to its word."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tuning import fit
from labkit.soft_prompt import load_prompt, nearest_tokens, save_prompt
from labkit.soft_prompt.wayward import WaywardPrompt
from tiny import FAMILIES

TEXT = " a slow and funny film"


def nearest_ids(backbone, vectors):
    """Brute force over the table, by cosine."""
    table = F.normalize(backbone.model.get_input_embeddings().weight.detach().double(), dim=-1)
    return (F.normalize(vectors.detach().double(), dim=-1) @ table.T).argmax(-1).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_offset_makes_another_word_nearer(tiny_backbone, family):
    backbone = tiny_backbone(family)
    prompt = WaywardPrompt(backbone, TEXT)
    ids = backbone.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert nearest_ids(backbone, prompt()) == ids
    table = backbone.model.get_input_embeddings().weight.detach()
    generator = torch.Generator().manual_seed(0)
    for size in (0.1, 1.0, 1000.0):
        for _ in range(20):
            offsets = torch.randn(prompt.offsets.shape, generator=generator) * size
            prompt.offsets.data.copy_(offsets)
            assert nearest_ids(backbone, prompt()) == ids
    # straight towards its nearest other word, where it is closest to losing its own
    closeness = F.normalize(table[ids], dim=-1) @ F.normalize(table, dim=-1).T
    closeness[torch.arange(len(ids)), torch.tensor(ids)] = -1
    prompt.offsets.data.copy_(1e3 * (table[closeness.argmax(1)] - table[ids]))
    assert nearest_ids(backbone, prompt()) == ids
    assert (prompt().detach() - table[ids]).norm(dim=-1).min() > 0.05


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_it_learns_and_reads_as_before(tiny_backbone, tiny_task, tmp_path, family):
    backbone = tiny_backbone(family)
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = WaywardPrompt(backbone, TEXT, length=8)
    losses = fit(model, prompt, tiny_task, steps=30, batch_size=24, lr=0.05).losses
    assert losses[-1] < losses[0] - 0.01
    save_prompt(tmp_path / "p", prompt, model)
    again, card = load_prompt(tmp_path / "p")
    assert card.folded_from == "WaywardPrompt"
    wanted = backbone.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    read = [row[0] for row in nearest_tokens(backbone, again(), k=1).tokens]
    repeated = (wanted * 8)[:8]
    assert read == [str(backbone.tokenizer.decode([i])) for i in repeated]


def test_within_its_reach_a_row_goes_where_it_is_pulled(tiny_backbone):
    prompt = WaywardPrompt(tiny_backbone("llama"), TEXT)
    step = torch.zeros_like(prompt.offsets)
    step[:, 0] = 0.5 * prompt.radii
    prompt.offsets.data.copy_(step)
    torch.testing.assert_close(prompt(), prompt.words + step)
    assert torch.isfinite(torch.autograd.grad(prompt().sum(), prompt.offsets)[0]).all()
    prompt.offsets.data.zero_()
    assert torch.isfinite(torch.autograd.grad(prompt().sum(), prompt.offsets)[0]).all()


@pytest.mark.parametrize(("text", "length"), [("", None), ("a film", 0)])
def test_a_prompt_without_rows_is_refused(tiny_backbone, text, length):
    with pytest.raises(LabError, match="leaves none"):
        WaywardPrompt(tiny_backbone("llama"), text, length)
