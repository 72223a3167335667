"""Context-aware prompts: they begin as demonstrations, and keep within reach of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.soft_prompt import ContextPrompt, demonstrations, load_prompt, save_prompt
from labkit.soft_prompt.context import LONGEST
from tiny import FAMILIES


@pytest.fixture(params=FAMILIES)
def model(request, tiny_backbone, tiny_task):
    return PromptedModel.for_task(tiny_backbone(request.param), tiny_task)


def letters(text):
    return "".join(letter for letter in text.lower() if letter.isalpha())


def test_untuned_it_is_the_demonstrations_themselves(model, tiny_task):
    examples = demonstrations(tiny_task, 2, seed=0)
    prompt = ContextPrompt(model, examples)
    backbone = model.backbone
    ids = prompt.ids.tolist()
    with torch.no_grad():
        words = backbone.model.get_input_embeddings()(torch.tensor(ids))
    torch.testing.assert_close(prompt().detach(), words, rtol=0, atol=0)
    read = letters(backbone.tokenizer.decode(ids))
    for example in examples:
        (label,) = model.verbalizer.words[tiny_task.labels[int(example.label)]]
        assert letters(example.text) in read and label in read
    of_labels = [
        piece
        for example in examples
        for word in model.verbalizer.words[tiny_task.labels[int(example.label)]]
        for piece in backbone.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    ]
    assert prompt.ids[prompt.fixed].tolist() == of_labels


def test_a_causal_model_reads_it_as_the_text_in_front(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    prompt = ContextPrompt(model, demonstrations(tiny_task, 2, seed=1))
    (example,) = tiny_task.split("test")[:1]
    plain, tokenizer = model.backbone.model, model.backbone.tokenizer
    bare = tokenizer(f"{example.text} It was", add_special_tokens=False)["input_ids"]
    special, _ = model.backbone.special_tokens()
    with torch.no_grad():
        row = torch.tensor([[*prompt.ids.tolist(), *special, *bare]])
        (laid,) = model.encode([example], prompt().detach())
        assert [i for i in laid.ids if i >= 0] == [*special, *bare]
        if laid.ids[0] >= 0:  # a start token that the template puts first
            row = torch.tensor([[*special, *prompt.ids.tolist(), *bare]])
        wanted = plain(row).logits[0, -1].log_softmax(-1)
    words = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
             for (word,) in model.verbalizer.words.values()]  # fmt: skip
    seen = model.scores(prompt, [example])[0]
    for score, pieces in zip(seen.tolist(), words, strict=True):
        if len(pieces) == 1:
            assert score == pytest.approx(wanted[pieces[0]].item(), abs=1e-4)


def test_rows_stay_within_reach_and_labels_stay_put(model, tiny_task):
    prompt = ContextPrompt(model, demonstrations(tiny_task, 2, seed=0), radius=0.2)
    prompt.offsets.data.normal_(generator=torch.Generator().manual_seed(0)).mul_(100)
    moved = (prompt().detach() - prompt.words).norm(dim=-1) / prompt.words.norm(dim=-1)
    torch.testing.assert_close(moved[~prompt.fixed], torch.full((int((~prompt.fixed).sum()),), 0.2))
    assert prompt.fixed.any() and moved[prompt.fixed].abs().max() == 0


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_it_learns_and_is_saved_as_any_prompt(tiny_backbone, tiny_task, tmp_path, family):
    model = PromptedModel.for_task(tiny_backbone(family), tiny_task)
    prompt = ContextPrompt(model, demonstrations(tiny_task, 2, seed=0), radius=0.5)
    losses = fit(model, prompt, tiny_task, steps=30, batch_size=24, lr=0.05).losses
    assert losses[-1] < losses[0] - 0.01
    save_prompt(tmp_path / "p", prompt, model)
    assert torch.equal(load_prompt(tmp_path / "p")[0]().detach(), prompt().detach())


def test_demonstrations_take_the_classes_in_turn(tiny_task):
    chosen = demonstrations(tiny_task, 6, seed=3)
    assert [e.label for e in chosen] == [0, 1, 0, 1, 0, 1]
    assert len({e.id for e in chosen}) == 6
    assert all(e in tiny_task.split("train") for e in chosen)
    assert chosen == demonstrations(tiny_task, 6, seed=3) != demonstrations(tiny_task, 6, seed=4)
    negatives = [e for e in tiny_task.split("train") if not e.label]
    one_sided = tiny_task.with_splits(train=(*negatives[:3], *chosen[1:2]))
    assert sorted(e.label for e in demonstrations(one_sided, 9, seed=0)) == [0, 0, 0, 1]


def test_what_cannot_be_a_context(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    examples = demonstrations(tiny_task, 1, seed=0)
    for given, radius in (([], 0.1), (examples, -0.1)):
        with pytest.raises(LabError, match="at least one, and a radius"):
            ContextPrompt(model, given, radius)
    numbers = replace(tiny_task, labels=(), range=(0.0, 5.0))
    with pytest.raises(LabError, match="shows a class"):
        demonstrations(numbers, 2, seed=0)


def test_of_a_long_text_the_first_pieces_are_shown(model, tiny_task):
    tokenizer, text = model.backbone.tokenizer, " ".join(["film", "cast"] * 30)
    first = tokenizer(text, add_special_tokens=False)["input_ids"][:LONGEST]
    (example,) = tiny_task.split("train")[:1]

    def read(text):
        prompt = ContextPrompt(model, [replace(example, fields={"text": text})])
        return letters(tokenizer.decode(prompt.ids.tolist()))

    shown, short = letters(tokenizer.decode(first)), "film cast film cast"
    assert shown in read(text) and "film" in shown
    assert read(text).count("film") == shown.count("film") < 30
    assert letters(short) in read(short)


# ---- which words, which texts, and where they are cut ----


@pytest.mark.parametrize("labels", [("negative", "positive"), ("positive", "negative")])
def test_labels_are_those_of_the_tasks_classes_whatever_the_order_of_the_words(
    model, tiny_task, labels
):
    turned = model.with_changes(verbalizer=model.verbalizer.reordered(labels))
    examples = demonstrations(tiny_task, 2, seed=0)
    prompt = ContextPrompt(turned, examples, task=tiny_task)
    own = [{"negative": "terrible", "positive": "great"}[tiny_task.labels[e.label]]
           for e in examples]  # fmt: skip
    cut = model.backbone.tokenizer
    expected = [i for w in own for i in cut(f" {w}", add_special_tokens=False)["input_ids"]]
    assert prompt.ids[prompt.fixed].tolist() == expected


def test_a_demonstration_of_two_texts_is_written_as_the_template_names_them(tiny_backbone):
    pair = Example("1", {"premise": "a film", "hypothesis": "the music"}, 1)
    words = Verbalizer({"no": "bad", "yes": "good"})
    line = "{soft}{premise} so {hypothesis}? {mask}"
    model = PromptedModel(tiny_backbone("gpt2"), line, words)
    read = model.backbone.tokenizer.decode(ContextPrompt(model, [pair]).ids)
    assert read == "a film so the music? good\n"
    with pytest.raises(LabError, match="asks for the field 'hypothesis'; the task has premise"):
        ContextPrompt(model, [replace(pair, fields={"premise": "a film"})])


@pytest.mark.parametrize("label", [2, -1])
def test_a_class_without_words_is_named(tiny_backbone, tiny_task, label):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task)
    with pytest.raises(LabError, match=f"'odd' is of class {label}.* classes 0 to 1; give"):
        ContextPrompt(model, [Example("odd", {"text": "a film"}, label)])


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("family", ["gpt2", "llama", "roberta"])
def test_a_long_text_is_cut_between_characters(tiny_backbone, tiny_task, family, shift):
    """Where a character takes several pieces, none of them stands without the others."""
    model = PromptedModel.for_task(tiny_backbone(family), tiny_task)
    tokenizer, text = model.backbone.tokenizer, "a" * shift + "电影很好看" * 20
    example = Example("1", {"text": text}, 1)
    read = tokenizer.decode(ContextPrompt(model, [example]).ids)
    kept, _, _ = read.partition(" It was")
    assert len(kept) > 4 and text.startswith(kept)
    pieces = [len(tokenizer(text[:n], add_special_tokens=False)["input_ids"]) for n in range(40)]
    assert len(kept) == max(n for n, count in enumerate(pieces) if count <= LONGEST)
