"""Virtual tokens as a set: the same bits in every order, and what a model reads of them."""

from __future__ import annotations

import types

import pytest
import torch

import plain
from labkit.core import assets, sets
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.sequences import collate
from labkit.core.tasks import Example
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.course.interact.trace import trace
from labkit.lstm_sorter import search
from labkit.shuffle_probe import Shuffle, probe_order
from labkit.soft_prompt import SoftPrompt, load_prompt, save_prompt
from tiny import FAMILIES

CAUSAL = ("gpt2", "llama")
WORDS = Verbalizer({"negative": "good", "positive": "great"})


def random_prompt(backbone, length=5) -> SoftPrompt:
    generator = torch.Generator().manual_seed(0)
    return SoftPrompt(torch.randn(length, backbone.hidden_size, generator=generator) * 0.5)


def in_order(prompt, order) -> SoftPrompt:
    return SoftPrompt(prompt().detach()[torch.as_tensor(order)])


def as_set(backbone, task) -> PromptedModel:
    return PromptedModel.for_task(backbone, task).with_changes(positions="set")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_order_gives_the_same_bits(tiny_backbone, tiny_task, family):
    backbone, examples = tiny_backbone(family), tiny_task.split("test")
    model, prompt = as_set(backbone, tiny_task), random_prompt(backbone)
    ordinary = PromptedModel.for_task(backbone, tiny_task)
    scores = model.scores(prompt, examples)
    orders = Shuffle().draw(5, 100)
    assert all(torch.equal(model.scores(in_order(prompt, o), examples), scores) for o in orders)
    # the same orders change the ordinary prompt's scores, and other rows change the set's
    moved = ordinary.scores(in_order(prompt, orders[0]), examples)
    assert (moved - ordinary.scores(prompt, examples)).abs().max() > 1e-3
    assert (model.scores(SoftPrompt(prompt().roll(1, 1)), examples) - scores).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-encoder", "t5"])
def test_without_a_causal_mask_a_set_is_a_prompt_without_positions(
    tiny_backbone, tiny_task, family
):
    backbone, examples = tiny_backbone(family), tiny_task.split("test")
    prompt = random_prompt(backbone)
    bare = PromptedModel.for_task(backbone, tiny_task).with_changes(positions=False)
    ours = as_set(backbone, tiny_task).scores(prompt, examples)
    torch.testing.assert_close(ours, bare.scores(prompt, examples), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("template", "bos"),
    [
        ("{soft}{text} It was {mask}", "text"),
        ("{soft}{text} It was {mask}", "first"),
        ("{text}{soft} It was {mask}", "text"),
        ("{text} It was{soft} {mask}", "text"),  # what all sequences share ends within the set
    ],
)
@pytest.mark.parametrize("family", CAUSAL)
def test_a_causal_models_virtual_tokens_see_no_other(
    tiny_backbone, tiny_folder, tiny_task, family, template, bos
):
    """By Hugging Face's own forward pass, with a mask and places written out one by one."""
    backbone, prompt = tiny_backbone(family), random_prompt(tiny_backbone(family))
    ours = PromptedModel(backbone, template, WORDS, bos=bos, positions="set")
    hf = plain.load(family, tiny_folder(family))
    table, low = hf.get_input_embeddings().weight, torch.finfo(torch.float32).min
    examples = tiny_task.split("test")[:3]
    pieces = [pieces[0] for pieces in ours.labels().words]
    theirs = []
    for ids, *_ in ours.encode(examples, prompt()):
        mask = torch.full((len(ids), len(ids)), low)
        for i, one in enumerate(ids):
            for j, other in enumerate(ids[: i + 1]):
                if i == j or one >= 0 or other >= 0:
                    mask[i, j] = 0.0
        rows = [prompt()[-1 - i] if i < 0 else table[i] for i in ids]
        logits = hf(
            inputs_embeds=torch.stack(rows)[None],
            attention_mask=mask[None, None],
            position_ids=torch.tensor([[0 if i < 0 else n for n, i in enumerate(ids)]]),
        ).logits[0, -1]
        theirs.append(logits.log_softmax(-1)[pieces].detach())
    alone = torch.cat([ours.scores(prompt, [example]) for example in examples])
    for scores in (alone, ours.scores(prompt, examples)):
        torch.testing.assert_close(scores, torch.stack(theirs), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", CAUSAL)
def test_what_is_shared_and_what_attention_shows_are_of_the_same_set(
    tiny_backbone, tiny_task, family
):
    backbone, prompt = tiny_backbone(family), random_prompt(tiny_backbone(family))
    model = as_set(backbone, tiny_task)
    sequences = model.encode(tiny_task.split("test"), prompt())
    assert len(backbone.with_positions("set").prefix_of(sequences)) >= 5  # it is read once
    batch = collate(sequences[:2], backbone.device)
    one, other = (
        model.backbone.answer_attention(batch, vectors)[..., 5:]
        for vectors in (prompt().detach(), prompt().detach().flip(0))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["bert", "roberta", *CAUSAL])
def test_attention_to_a_virtual_token_stands_at_its_own_row(tiny_backbone, tiny_task, family):
    """In another order of the rows each keeps its share; an encoder's is that without positions."""
    backbone, vectors = tiny_backbone(family), random_prompt(tiny_backbone(family))().detach()
    model = as_set(backbone, tiny_task).with_changes(template="{text}{soft} It was {mask}")
    batch = collate(model.encode(tiny_task.split("test")[:3], vectors), backbone.device)
    slots = batch.ids < 0
    order = torch.tensor([2, 0, 1, 4, 3])

    def shares(view, rows):
        seen = view.backbone.answer_attention(batch, rows)  # (B, layers, heads, T)
        return seen.permute(0, 3, 1, 2)[slots].unflatten(0, (3, 5)), seen.sum(-1)

    (before, sums), (after, _) = shares(model, vectors), shares(model, vectors[order])
    torch.testing.assert_close(after, before[:, order], rtol=0, atol=0)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    assert (before[:, 1:] - before[:, :-1]).abs().max() > 1e-3
    if family not in CAUSAL:
        bare, _ = shares(model.with_changes(positions=False), vectors)
        torch.testing.assert_close(before, bare, rtol=1e-4, atol=1e-6)


def test_what_a_set_is_fed_is_shown_row_by_row(tiny_backbone, tiny_task):
    prompt = random_prompt(tiny_backbone("llama"))
    pieces, fed, _ = trace(as_set(tiny_backbone("llama"), tiny_task), prompt, "a funny film")
    shown = {name: row for (name, _, kind), row in zip(pieces, fed, strict=True) if kind == "soft"}
    for number, row in enumerate(prompt().detach(), start=1):
        assert shown[f"e{number}"] == pytest.approx(row.numpy())


def test_smollm2_forgets_the_order_before_its_rows_are_sorted(monkeypatch):
    """The mask and the places alone do it up to rounding; the sorted rows to the bit."""
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    backbone = load_backbone("smollm2", device="cpu", dtype=torch.float32)
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", WORDS, positions="set")
    prompt = SoftPrompt.from_vocab(backbone, length=8)
    examples = [Example("0", {"text": "a gripping film"}, 0), Example("1", {"text": "dull"}, 1)]
    orders = Shuffle().draw(8, 4)
    scores = model.scores(prompt, examples)
    assert all(torch.equal(model.scores(in_order(prompt, o), examples), scores) for o in orders)
    monkeypatch.setattr(sets, "in_canonical_order", lambda vectors: vectors)
    for order in orders:
        torch.testing.assert_close(
            model.scores(in_order(prompt, order), examples), scores, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("family", ["bert", "bert-encoder", "llama", "t5"])
def test_a_set_is_trained_whatever_the_order_of_its_rows(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    model, start = as_set(backbone, tiny_task), random_prompt(backbone)
    order = [3, 0, 4, 1, 2]
    one, other = SoftPrompt(start()), in_order(start, order)
    losses = [
        fit(model, p, tiny_task, steps=12, batch_size=24, lr=0.05, clip=None).losses
        for p in (one, other)
    ]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    assert torch.equal(one()[order], other())


def test_a_saved_set_is_a_set_again(tiny_backbone, tiny_task, tmp_path):
    backbone, examples = tiny_backbone("llama"), tiny_task.split("test")
    model, prompt = as_set(backbone, tiny_task), random_prompt(backbone)
    (warning,) = save_prompt(tmp_path / "p", prompt, model)
    assert "read as a set" in warning
    again, card = load_prompt(tmp_path / "p")
    opened = card.model(backbone)
    assert opened.positions == "set"
    assert torch.equal(opened.scores(again, examples), model.scores(prompt, examples))
    probe = probe_order(opened, again, tiny_task, Shuffle().draw(5, 20))
    assert probe.counts == (0, 0, 20) and not probe.flip_rates.any()


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "t5"])
def test_trying_a_model_in_half_precision_leaves_it_as_it_was(tiny_folder, tiny_task, family):
    """Proofs are in fp32; what is kept in fp32 beside halved weights must not be halved by them."""
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.bfloat16)
    examples, prompt = tiny_task.split("test"), random_prompt(backbone)
    model = PromptedModel.for_task(backbone, tiny_task)
    scores = model.scores(prompt, examples)
    tensors = [*backbone.model.parameters(), *backbone.model.buffers()]
    before = [tensor.clone() for tensor in tensors]
    for positions in (False, "set"):
        model.with_changes(positions=positions)
    assert [t.dtype for t in tensors] == [t.dtype for t in before]
    assert all(torch.equal(one, other) for one, other in zip(tensors, before, strict=True))
    assert torch.equal(model.scores(prompt, examples), scores)


# ---- refused ----


@pytest.mark.parametrize("family", CAUSAL)
def test_a_set_in_two_places_is_refused_where_one_sees_the_other(tiny_backbone, family):
    with pytest.raises(LabError, match="need one block"):
        PromptedModel(
            tiny_backbone(family), "{soft:2}{text}{soft:3} It was {mask}", WORDS, positions="set"
        )


def test_numbers_are_taken_as_the_truth_values_that_they_are(tiny_backbone, tiny_task):
    backbone, examples = tiny_backbone("llama"), tiny_task.split("test")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), random_prompt(backbone)
    for number in (0, 1):
        view = backbone.with_positions(number)
        assert view.positions is bool(number) and view.has_positions is bool(number)
        same = model.with_changes(positions=bool(number)).scores(prompt, examples)
        assert torch.equal(model.with_changes(positions=number).scores(prompt, examples), same)


def test_an_unknown_kind_is_named(tiny_backbone, tiny_task):
    with pytest.raises(LabError, match="positions='bag' is unknown; choose True, False or 'set'"):
        PromptedModel.for_task(tiny_backbone("bert"), tiny_task).with_changes(positions="bag")


@pytest.mark.parametrize("instead", [None, "all"])
def test_a_model_that_does_not_take_a_mask_is_refused(tiny_folder, tiny_task, instead):
    """It would read virtual tokens in order, or texts as several that see nothing of each other."""
    backbone = load_backbone(str(tiny_folder("llama")), device="cpu", dtype=torch.float32)
    inner = backbone.model.forward

    def forward(self, *args, attention_mask=None, **kwargs):
        if attention_mask is not None and attention_mask.ndim == 4:
            ones = torch.ones(attention_mask.shape[0], attention_mask.shape[-1])
            attention_mask = ones if instead else None
        return inner(*args, attention_mask=attention_mask, **kwargs)

    backbone.model.forward = types.MethodType(forward, backbone.model)
    with pytest.raises(LabError, match="reads virtual tokens in order only"):
        as_set(backbone, tiny_task)


def test_there_is_no_order_of_a_set_to_look_for(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    with pytest.raises(LabError, match="no order to look for"):
        search(as_set(backbone, tiny_task), random_prompt(backbone), tiny_task, "random")


def test_a_set_has_no_positions_to_take_away(tiny_backbone, tiny_task):
    bare, why = as_set(tiny_backbone("llama"), tiny_task).without_positions()
    assert bare is None and "read as a set" in str(why)
