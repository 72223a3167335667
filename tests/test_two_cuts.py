"""A folder that is cut by two texts, and templates that read one of them: they see another cut.

Whoever takes sentences of such a task has to take them from the cut that `fit` and `evaluate` see;
those of the folder's own cut may be the ones that the prompt was trained on.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from labkit.cli import incomplete as cli_incomplete
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import load_task
from labkit.core.templates import Template
from labkit.experiments import (
    connectivity,
    domain_shift,
    few_shot,
    first_place,
    number_strings,
    order_dose,
    order_effect,
    pruning,
    transfer,
    transfer_starts,
)
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.setting import Place
from labkit.experiments.training import TrainingSetting
from labkit.glue import with_number_strings
from labkit.hard_prompt import score_grid, sentiment_grid
from labkit.prompt_transfer import fit_mixture
from labkit.shuffle_probe import Shuffle, incomplete_design, probe_incomplete
from labkit.soft_prompt import SoftPrompt

WORDS = (
    "film",
    "plot",
    "cast",
    "scene",
    "jokes",
    "music",
    "slow",
    "dull",
    "great",
    "funny",
    "good",
)
RECIPE = Recipe(length=4, steps=2, batch_size=4)


def write_folder(folder, seed, classes=True):
    drawn = random.Random(seed)
    folder.mkdir()
    lines = []
    for i in range(90):
        text, title = (" ".join(drawn.choices(WORDS, k=k)) for k in (8, 2))
        label = ["negative", "positive"][i % 2] if classes else drawn.random()
        lines.append(json.dumps({"text": f"{text} {i}", "title": title, "label": label}))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    words = {"negative": "terrible", "positive": "great"}
    if not classes:
        words = {"low": "terrible", "high": "great"}
    prompts = {
        "mlm": {"template": "{title} {text} It was {mask}.", "words": words},
        "causal": {"template": "{text} It was {mask}", "words": words},
        "encoder": {"template": "{text}", "words": words},
        "seq2seq": {"template": "{text}", "words": words},
    }
    about = {"prompts": prompts} | ({} if classes else {"range": [0, 1]})
    (folder / "task.json").write_text(json.dumps(about))
    return load_task(str(folder))


@pytest.fixture
def task(tmp_path):
    return write_folder(tmp_path / "reviews", seed=0)


def texts(task, *splits):
    """What the cut by the text alone has in these splits."""
    seen = task.for_fields(("text",))
    return {example.text for split in splits for example in seen.split(split)}


@pytest.fixture
def encoded(monkeypatch):
    """Every text that was laid out for a model, in turn."""
    seen: list[str] = []
    inner = PromptedModel.encode

    def spy(self, examples, *rest, **options):
        seen.extend(e.text for e in examples if not e.id.startswith("content-free"))
        return inner(self, examples, *rest, **options)

    monkeypatch.setattr(PromptedModel, "encode", spy)
    return seen


@pytest.fixture
def row(monkeypatch, tiny_backbone, tmp_path):
    """Runs a row function with the tiny model and an untrained prompt where one is kept."""

    def run(module, function, task, **fields):
        fields = {"recipe": RECIPE, "backbone": "some/model", "profile": "small"} | fields
        family = fields.pop("family")
        backbone = tiny_backbone(family)
        monkeypatch.setattr(module, "shared_backbone", lambda name: backbone)
        prompt = SoftPrompt.from_vocab(backbone, RECIPE.length)
        monkeypatch.setattr(module, "trained_prompt", lambda *_, **__: prompt, raising=False)
        place = Place(tmp_path, tmp_path / "table", "labkit run it")
        return function(SimpleNamespace(**fields), task, 0, place)

    return run


def test_the_two_cuts_differ(task):
    own = {example.text for example in task.split("test")}
    assert task.fields == ("title", "text") and own & texts(task, "train")


def test_what_was_chosen_is_not_cut_again(task):
    few = task.with_splits(train=task.split("train")[:8])
    assert few.for_fields(("text",)).split("train") == task.split("train")[:8]


ROWS = {
    "connectivity": (connectivity, connectivity.pair_row, {}, ["test"]),
    "first place": (first_place, first_place.patching_row, {}, ["test"]),
    "pruning": (pruning, pruning.pruning_row, {"way": "left out"}, ["validation", "test"]),
    "order dose": (order_dose, order_dose.dose_row, {}, ["validation", "test"]),
    "order effect": (order_effect, order_effect.effect_row, {}, ["validation", "test"]),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_reads_the_splits_that_its_template_sees(row, task, encoded, monkeypatch, name):
    module, function, fields, splits = ROWS[name]
    passed = {"learns": True, "validation": 1.0, "validation_n": 1}
    monkeypatch.setattr(module, "at_gate", lambda *given: passed, raising=False)
    monkeypatch.setattr(order_effect, "scored_behind_gate", past_gate)
    monkeypatch.setattr(order_dose, "SENTENCES", 2)
    monkeypatch.setattr(order_dose, "ORDERS", 2)
    row(module, function, task, family="llama", **fields)
    assert encoded and set(encoded) <= texts(task, *splits)


def past_gate(model, prompt, task, limit):
    plain = evaluate(model, prompt, task, "test", limit=limit)
    return plain, {"learns": True}


def test_an_incomplete_design_reads_the_sentences_that_are_evaluated(tiny_backbone, task, encoded):
    model = PromptedModel.for_task(tiny_backbone("bert-encoder"), task)
    prompt = SoftPrompt.from_uniform(model.backbone, 4, seed=0)
    plain = evaluate(model, prompt, task, limit=1000)
    evaluated = list(encoded)
    encoded.clear()
    probe = probe_incomplete(model, prompt, task, incomplete_design(Shuffle(), 4, plain.n))
    assert encoded == evaluated and set(encoded) == texts(task, "test")
    assert probe.baseline == plain.value


def test_the_command_asks_for_as_many_sentences_as_there_are(tiny_backbone, task, monkeypatch):
    model = PromptedModel.for_task(tiny_backbone("bert-encoder"), task)
    fewer = task.for_fields(("text",)).with_splits(
        test=task.for_fields(("text",)).split("test")[:5]
    )
    monkeypatch.setattr(type(task), "for_fields", lambda self, names: fewer)
    prompt, shuffle = SoftPrompt.from_vocab(model.backbone, 4), Shuffle()
    rest = {"split": "test", "limit": 1000, "seed": 0, "out": None, "update": lambda *_: None}
    assert cli_incomplete.probe_incomplete(model, prompt, task, shuffle, {}, **rest)["n"] == 5


def test_a_grid_is_chosen_on_what_its_templates_see(tiny_backbone, task, encoded):
    templates, verbalizers = sentiment_grid("causal", task, seed=0)
    (solved,) = (t for name, t in templates.items() if "examples" in name)
    assert sum(text in solved.text for text in texts(task, "train")) == 2
    grid = score_grid(
        tiny_backbone("llama"), task, {"plain": Template("{text} It was {mask}")}, verbalizers
    )
    assert len(grid.targets) and set(encoded) == texts(task, "validation")


def test_numbers_are_written_for_what_the_prompt_was_not_trained_on(monkeypatch, row, tmp_path):
    rated = write_folder(tmp_path / "rated", seed=1, classes=False)
    asked: list[str] = []

    def spy(model, prompt, examples, within):
        asked.extend(example.text for example in examples)
        return np.array([float(len(text)) for text in asked]), 0.0

    monkeypatch.setattr(number_strings, "read_numbers", spy)
    fields = {"answer": number_strings.NUMBER, "prompted": True, "asked_as": None}
    row(number_strings, number_strings.number_row, rated, family="t5", **fields)
    assert set(asked) == texts(rated, "test")


def test_few_examples_are_few(row, task, encoded):
    fields = {"method": "prompt", "examples": 8, "recipe": replace(RECIPE, evaluate_every=1)}
    row(few_shot, few_shot.few_shot_row, task, family="bert-encoder", **fields)
    assert len(set(encoded) & texts(task, "train")) == 16  # to train on, and to choose by
    assert set(encoded) - texts(task, "train") == texts(task, "test")


def test_at_home_nothing_is_trained_on_that_is_scored(
    monkeypatch, task, tmp_path, tiny_folder, encoded
):
    abroad = write_folder(tmp_path / "abroad", seed=1)
    stolen = abroad.for_fields(("text",)).split("test")
    train = (*stolen, *task.for_fields(("text",)).split("train"))
    home = task.for_fields(("text",)).with_splits(train=train)
    monkeypatch.setattr(domain_shift, "load_task", lambda name: abroad)
    trained: list[str] = []
    inner = domain_shift.trained

    def spy(setting, task, *rest):
        trained.extend(e.text for e in task.for_fields(("text",)).split("train"))
        return inner(setting, task, *rest)

    monkeypatch.setattr(domain_shift, "trained", spy)
    folder = str(tiny_folder("bert-encoder"))
    setting = TrainingSetting("prompt", folder, RECIPE, targets=("abroad",))
    place = Place(tmp_path, tmp_path / "table", "labkit run it")
    for given in (task, home):
        trained.clear()
        domain_shift.shift_row(setting, given, 0, place)
        assert trained and set(trained).isdisjoint(texts(given, "test") | texts(abroad, "test"))
        assert set(trained) <= texts(given, "train")


def test_what_a_source_trains_on_is_not_scored(tiny_backbone, task, tmp_path, encoded):
    other = write_folder(tmp_path / "other", seed=1)
    of_test = other.for_fields(("text",)).split("test")
    stolen = [replace(example, id=f"stolen {example.id}") for example in of_test]
    leaking = task.for_fields(("text",)).with_splits(train=(*stolen, *task.split("train")))
    model = PromptedModel.for_task(tiny_backbone("bert-encoder"), task)
    place = Place(tmp_path, tmp_path / "table", "labkit run it")
    for given, targets in ((task, [task, other]), (leaking, [other])):
        encoded.clear()
        prompt = SoftPrompt.from_vocab(model.backbone, 4)
        transfer.fit_apart(model, prompt, given, targets, RECIPE, 0, place)
        scored = set().union(*(texts(target, "test") for target in targets))
        assert encoded and set(encoded).isdisjoint(scored)


def test_a_mixture_trains_on_what_its_templates_see(tiny_backbone, task, encoded):
    backbone = tiny_backbone("bert-encoder")
    fit_mixture(backbone, SoftPrompt.from_vocab(backbone, 4), [task], steps=1)
    assert set(encoded) == texts(task, "train")


def test_numbers_as_strings_stay_as_they_are_cut(tmp_path):
    rated = write_folder(tmp_path / "rated", seed=2, classes=False)
    asked = with_number_strings(rated).for_fields(("text",))
    assert asked.kind == "classification"
    for split in asked.splits:
        assert {e.text for e in asked.split(split)} == texts(rated, split)
        assert all(isinstance(e.label, int) for e in asked.split(split))


def test_a_mixture_of_sources_is_drawn_from_their_own_cut(
    tiny_backbone, task, tmp_path, monkeypatch, encoded
):
    source = write_folder(tmp_path / "source", seed=1)
    model = PromptedModel.for_task(tiny_backbone("bert-encoder"), task)
    monkeypatch.setattr(transfer_starts, "load_task", lambda name: source)
    place = Place(tmp_path, tmp_path / "table", "labkit run it")
    transfer_starts._mixture(SimpleNamespace(recipe=RECIPE), model, task, ["source"], 0, place)
    assert encoded and set(encoded) <= texts(source, "train")
