"""Placement: where the virtual tokens stand, and a decoder that has them in front of its answer."""

from __future__ import annotations

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
from labkit.soft_prompt import SoftPrompt
from labkit.soft_prompt.decoder_side import DecoderSide

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
