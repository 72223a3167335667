"""Tasks made of plain text: every example is what its label says."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labkit import prompt_pretraining
from labkit.core import assets
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Example, load_task
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.soft_prompt import SoftPrompt


def editorials(sizes=(4, 3, 1, 5), skip=("1_2",)):
    ids = [f"{d}_{n}" for d, size in enumerate(sizes) for n in range(1, size + 1)]
    return [Example(i, {"text": f"sentence {i}"}, 0) for i in ids[::-1] if i not in skip]


def place(text):
    document, number = text.removeprefix("sentence ").split("_")
    return int(document), int(number)


def test_pairs_are_what_their_labels_say():
    task = prompt_pretraining.sentence_pairs(editorials(), 90, seed=1)
    every = [e for split in task.splits.values() for e in split]
    assert np.bincount([e.label for e in every]).tolist() == [30, 30, 30]
    for example in every:
        (d1, n1), (d2, n2) = map(place, example.fields.values())
        truth = 2 if d1 != d2 else 0 if n2 == n1 + 1 else 1
        assert example.label == truth and (truth != 1 or abs(n1 - n2) > 1)
    again = prompt_pretraining.sentence_pairs(editorials(), 90, seed=1)
    assert again.splits == task.splits


def test_one_choice_follows_and_the_others_come_from_elsewhere():
    task = prompt_pretraining.next_sentence_choices(editorials(), 40)
    every = [e for split in task.splits.values() for e in split]
    assert np.bincount([e.label for e in every]).tolist() == [10] * 4
    for example in every:
        document, number = place(example.fields["query"])
        answers = [a.strip() for a in re.split(r"[A-D]\. ", example.fields["answers"])[1:]]
        assert place(answers[example.label]) == (document, number + 1)
        others = [place(a)[0] for i, a in enumerate(answers) if i != example.label]
        assert len(answers) == 4 and document not in others


def test_pseudo_labels_are_the_surest_predictions(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    examples = [e for split in tiny_task.splits.values() for e in split]
    model = for_classes(model, tiny_task)
    scores = model.scores(None, examples)
    if len(set(scores.argmax(-1).tolist())) < 2:
        pytest.skip("the tiny model says the same of all texts")
    task = prompt_pretraining.pseudo_labelled(model, examples, tiny_task.labels, share=0.5)
    sureness = {e.id: row.softmax(-1).max().item() for e, row in zip(examples, scores, strict=True)}
    label = {e.id: row.argmax().item() for e, row in zip(examples, scores, strict=True)}
    kept = [e for split in task.splits.values() for e in split]
    assert all(label[e.id] == e.label for e in kept)
    for c in range(2):
        own = sorted((s for i, s in sureness.items() if label[i] == c), reverse=True)
        assert (
            sorted((sureness[e.id] for e in kept if e.label == c), reverse=True)
            == own[: round(len(own) / 2)]
        )


def test_ids_without_places_are_named():
    with pytest.raises(LabError, match="'17' does not say its document"):
        prompt_pretraining.sentence_pairs([Example("17", {"text": "a"}, 0)], 3)
    with pytest.raises(LabError, match="1 documents"):
        prompt_pretraining.sentence_pairs(editorials(sizes=(1,), skip=()), 3)


@pytest.mark.parametrize("make", ["sentence_pairs", "next_sentence_choices"])
def test_many_examples_are_cut_without_a_common_sentence(make):
    """So many draw each sentence often; until all hang together, and no part could be cut off."""
    task = getattr(prompt_pretraining, make)(editorials(sizes=(5,) * 60, skip=()), 600)
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 480,
        "validation": 60,
        "test": 60,
    }
    used = {}
    for name, part in task.splits.items():
        shown = " ".join(text for e in part for text in e.fields.values())
        used[name] = set(re.findall(r"sentence \d+_\d+", shown))
    assert not used["train"] & (used["validation"] | used["test"])
    assert not used["validation"] & used["test"]


@pytest.mark.skipif(
    not assets.is_ready(assets.ASSETS["vader"]), reason="the default data are not in the cache"
)
@pytest.mark.parametrize("form", ["pairs", "choice", "single"])
def test_raw_text_holds_no_test_sentence(tiny_backbone, form):
    target = load_task("tweets-valence")
    planted = load_task("editorials-valence", as_regression=True).split("train")[0]
    target = target.with_splits(test=[planted])
    task = prompt_pretraining.pretraining_task(
        form, tiny_backbone("bert-encoder"), 60, targets=[target]
    )
    tests = {e.text for e in load_task("editorials-valence").split("test")} | {planted.text}
    texts = " ".join(t for part in task.splits.values() for e in part for t in e.fields.values())
    assert not [text for text in tests if text in texts]


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bert-encoder"])
def test_every_readout_can_be_trained_on_the_made_tasks(tiny_backbone, family):
    backbone = tiny_backbone(family)
    for make in (prompt_pretraining.sentence_pairs, prompt_pretraining.next_sentence_choices):
        task = make(editorials(), 12)
        model = PromptedModel.for_task(backbone, task)
        words = model.verbalizer.words
        if family != "bert-encoder":  # the tiny vocabularies know few words
            answers = ("great", "good", "bad", "terrible")[: len(words)]
            model = model.with_changes(
                verbalizer=Verbalizer(dict(zip(words, answers, strict=True)))
            )
        elif any("answer" in w for options in words.values() for w in options):
            continue
        prompt = SoftPrompt.from_vocab(backbone, 2)
        before = prompt().detach().clone()
        (loss,) = fit(model, prompt, task, steps=1, batch_size=len(task.split("train"))).losses
        scores = model.scores(SoftPrompt(before), task.split("train"))
        labels = torch.tensor([example.label for example in task.split("train")])
        assert loss == pytest.approx(F.cross_entropy(scores, labels).item(), abs=1e-4)
        assert not torch.equal(prompt().detach(), before)
