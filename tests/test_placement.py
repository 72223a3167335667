"""Placement: where the virtual tokens stand, and a decoder that has them in front of its answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Template
from labkit.core.tuning import fit
from labkit.experiments import placement, training
from labkit.experiments.base import runner
from labkit.experiments.placement import BEHIND, BETWEEN, DECODER, IN_FRONT, NO_PROMPT, placed
from labkit.prompt_transfer import read_prompt
from labkit.shuffle_probe import Shuffle, probe_order
from labkit.soft_prompt import CARD, SoftPrompt, load_for, load_prompt, save_prompt
from labkit.soft_prompt.decoder_side import DecoderSide
from labkit.soft_prompt.export import export_as_tokens

LENGTH = 3


@pytest.mark.parametrize(
    ("template", "in_front", "between", "behind"),
    [
        (
            "{text} It was {mask}",
            "{soft}{text} It was {mask}",
            "{text}{soft} It was {mask}",
            "{text} It was{soft} {mask}",
        ),
        (
            "{text} It was {mask}.",
            "{soft}{text} It was {mask}.",
            "{text}{soft} It was {mask}.",
            "{text} It was {mask}.{soft}",
        ),
        (
            "a {{film}}: {text}",
            "{soft}a {{film}}: {text}",
            "a {{film}}: {soft}{text}",
            "a {{film}}: {text}{soft}",
        ),
        ("{text}", "{soft}{text}", "{soft:1}{text}{soft:2}", "{text}{soft}"),
        ("{text} {mask}", "{soft}{text} {mask}", "{soft:1}{text}{soft:2} {mask}",
         "{text}{soft} {mask}"),
        (
            "{premise} Question: {hypothesis} Answer: {mask}",
            "{soft}{premise} Question: {hypothesis} Answer: {mask}",
            "{premise} Question: {hypothesis}{soft} Answer: {mask}",
            "{premise} Question: {hypothesis} Answer:{soft} {mask}",
        ),
    ],
)  # fmt: skip
def test_places_of_a_template(template, in_front, between, behind):
    for where, wanted in ((IN_FRONT, in_front), (BETWEEN, between), (BEHIND, behind)):
        seen = placed(Template(template), where, LENGTH)
        assert seen.text == wanted
        assert sum(seen.soft_counts(LENGTH)) == LENGTH


def test_the_answer_keeps_its_space_behind_the_prompt(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task, soft=False)
    behind = model.with_changes(template=placed(model.template, BEHIND, LENGTH))
    assert behind.labels().words == model.labels().words
    prompt = SoftPrompt.from_uniform(model.backbone, LENGTH, seed=1)
    (hard,) = model.encode(tiny_task.split("test")[:1], None)
    (soft,) = behind.encode(tiny_task.split("test")[:1], prompt().detach())
    assert soft.ids == (*hard.ids, -1, -2, -3)


def on_decoder(backbone, task):
    model = PromptedModel.for_task(backbone, task)
    return model.with_changes(backbone=DecoderSide.of(backbone))


def test_a_prompt_before_the_decoder_is_hugging_faces_own_forward(tiny_backbone, tiny_task):
    backbone = tiny_backbone("t5")
    model = on_decoder(backbone, tiny_task)
    prompt = SoftPrompt.from_uniform(backbone, LENGTH, seed=1)
    examples = tiny_task.split("test")
    seen = model.scores(prompt, examples)
    plain, tokenizer = backbone.model, backbone.tokenizer
    assert len({len(tokenizer(e.text)["input_ids"]) for e in examples}) > 1  # padded in a batch
    for example, scores in zip(examples, seen, strict=True):
        text = tokenizer(example.text, return_tensors="pt")["input_ids"]
        for column, label in enumerate(model.verbalizer.labels):
            pieces = tokenizer(model.verbalizer.words[label][0])["input_ids"]
            started = [plain.config.decoder_start_token_id, *pieces[:-1]]
            words = plain.shared(torch.tensor([started]))
            with torch.no_grad():
                logits = plain(
                    input_ids=text, decoder_inputs_embeds=torch.cat([prompt()[None], words], 1)
                ).logits[0, LENGTH:]
            wanted = sum(row.log_softmax(-1)[p] for row, p in zip(logits, pieces, strict=True))
            assert scores[column].item() == pytest.approx(wanted.item(), abs=1e-4)
    in_front = PromptedModel.for_task(backbone, tiny_task).scores(prompt, examples)
    assert (seen - in_front).abs().max() > 1e-3


def test_it_learns_there_and_nothing_else_moves(tiny_backbone, tiny_task):
    backbone = tiny_backbone("t5")
    before = [p.clone() for p in backbone.parameters()]
    prompt = SoftPrompt.from_uniform(backbone, LENGTH, seed=1)
    losses = fit(
        on_decoder(backbone, tiny_task), prompt, tiny_task, steps=30, batch_size=24, lr=0.05
    ).losses
    assert losses[-1] < losses[0] - 0.01
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.parameters(), strict=True))


def test_where_there_is_no_decoder_or_no_leading_block(tiny_backbone, tiny_task):
    with pytest.raises(LabError, match=r"causal readout.*sequence-to-sequence"):
        DecoderSide.of(tiny_backbone("llama"))
    model = on_decoder(tiny_backbone("t5"), tiny_task)
    prompt = SoftPrompt.from_uniform(model.backbone, LENGTH, seed=1)
    with pytest.raises(LabError, match="at the beginning of the template"):
        model.with_changes(template="{text}{soft}").scores(prompt, tiny_task.split("test"))


def test_a_prompt_of_the_decoders_side_opens_there_again(tiny_backbone, tiny_task, tmp_path):
    backbone, examples = tiny_backbone("t5"), tiny_task.split("test")
    model, plain = on_decoder(backbone, tiny_task), PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_uniform(backbone, LENGTH, seed=1)
    (warning,) = save_prompt(tmp_path / "decoder", prompt, model)
    assert "in front of the decoder" in warning and CARD in warning
    assert save_prompt(tmp_path / "encoder", prompt, plain) == []
    assert "side" not in json.loads((tmp_path / "encoder" / CARD).read_text(encoding="utf-8"))
    for given in (backbone, model.backbone):
        again, card = load_for(given, tmp_path / "decoder")
        opened = card.model(given)
        assert torch.equal(opened.scores(again, examples), model.scores(prompt, examples))
    again, card = load_for(backbone, tmp_path / "encoder")
    assert torch.equal(card.model(backbone).scores(again, examples), plain.scores(prompt, examples))
    save_prompt(tmp_path / "moved on", again, opened)  # as `labkit sort` does
    assert load_prompt(tmp_path / "moved on")[1].side == "decoder"


def test_a_prompt_of_the_other_side_is_refused(tiny_backbone, tiny_task, tmp_path):
    backbone = tiny_backbone("t5")
    model, plain = on_decoder(backbone, tiny_task), PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_uniform(backbone, LENGTH, seed=1)
    for name, trained in (("decoder", model), ("encoder", plain)):
        save_prompt(tmp_path / name, prompt, trained)
    with pytest.raises(LabError, match=r"front of the decoder; give the model itself"):
        load_for(model.backbone, tmp_path / "encoder")
    with pytest.raises(LabError, match=r"front of the decoder; give the model itself"):
        load_prompt(tmp_path / "encoder")[1].model(model.backbone)
    with pytest.raises(LabError, match=r"trained in front of the decoder, .*DecoderSide\.of"):
        read_prompt(tmp_path / "decoder", backbone)
    assert torch.equal(read_prompt(tmp_path / "decoder", model.backbone), prompt())
    (tmp_path / "encoder" / CARD).unlink()  # as PEFT saves one
    with pytest.raises(LabError, match="give the model itself"):
        load_for(model.backbone, tmp_path / "encoder")
    with pytest.raises(LabError, match="export a prompt of the encoder's side"):
        export_as_tokens(tmp_path / "tokens", prompt, model)


@pytest.mark.parametrize("first", ["encoder", "decoder"])
def test_a_training_goes_on_at_its_own_side_only(tiny_backbone, tiny_task, tmp_path, first):
    plain = PromptedModel.for_task(tiny_backbone("t5"), tiny_task)
    sides = {"encoder": plain, "decoder": on_decoder(plain.backbone, tiny_task)}
    options = {"steps": 2, "batch_size": 4, "lr": 0.1, "checkpoint": tmp_path}
    prompt = SoftPrompt.from_uniform(plain.backbone, LENGTH, seed=1)
    fit(sides.pop(first), prompt, tiny_task, **options)
    (other,) = sides.values()
    with pytest.raises(LabError, match=r"side=.*now it is .*or delete it"):
        fit(other, prompt, tiny_task, **options, resume=True)


def test_a_probe_goes_on_at_its_own_side_only(tiny_backbone, tiny_task, tmp_path):
    plain = PromptedModel.for_task(tiny_backbone("t5"), tiny_task)
    model = on_decoder(plain.backbone, tiny_task)
    prompt = SoftPrompt.from_uniform(plain.backbone, LENGTH, seed=1)
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(plain, prompt, tiny_task, orders, out=tmp_path)
    with pytest.raises(LabError, match="holds another probe"):
        probe_order(model, prompt, tiny_task, orders, out=tmp_path, resume=True)


@pytest.mark.parametrize("wanted", [False, "set"])
def test_before_the_decoder_positions_stay(tiny_backbone, tiny_task, wanted):
    backbone = tiny_backbone("t5")
    bare = backbone.with_positions(wanted)  # the model itself can, and has been asked
    model = on_decoder(backbone, tiny_task)
    with pytest.raises(LabError, match=r"keep their positions .* take positions=True"):
        model.with_changes(positions=wanted)
    with pytest.raises(LabError, match=r"keep their positions .* take positions=True"):
        DecoderSide.of(bare)
    assert model.with_changes(positions=True).backbone is model.backbone
    none, why = model.without_positions()
    assert none is None and "keep their positions" in str(why)


@pytest.mark.parametrize("family", ["t5", "bert-encoder", "llama"])
def test_rows_of_one_start_at_every_place(monkeypatch, tiny_folder, tiny_task, tmp_path, family):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    for readout, recipe in experiments.RECIPES.items():
        short = replace(recipe, length=LENGTH, lr=0.05, steps=3, warmup=0)
        monkeypatch.setitem(experiments.RECIPES, readout, short)
    placement.shared_backbone.cache_clear()
    starts, inner = [], training.fit

    def spy(model, prompt, *args, **options):
        starts.append(prompt().detach().clone())
        return inner(model, prompt, *args, **options)

    monkeypatch.setattr(training, "fit", spy)
    options = {"backbone": str(tiny_folder(family)), "out": tmp_path, "seeds": (0, 1)}
    result = experiments.run("placement", **options)
    places = [IN_FRONT, BETWEEN, BEHIND] + [DECODER] * (family == "t5")
    wanted = {*places, *(f"{where}, untrained" for where in places), NO_PROMPT}
    assert {row["setting"] for row in result["rows"]} == wanted
    assert len(starts) == 2 * len(places)
    assert sum(torch.equal(start, starts[0]) for start in starts) == len(places)  # one a seed
    rows = {(row["setting"], row["seed"]): row for row in result["rows"]}
    assert "{soft" not in rows[NO_PROMPT, 0]["template"]
    assert rows[IN_FRONT, 0]["loss"] is not None and rows[BEHIND + ", untrained", 0]["loss"] is None
    claims = [judged["claim"] for judged in result["verdict"]]
    assert claims == [f"in front scores higher than {where}" for where in places[1:]] + [
        f"{where}: trained scores higher than untrained" for where in places
    ]
    experiments.run("placement", resume=True, **options)
    assert len(starts) == 2 * len(places)  # nothing is trained again
