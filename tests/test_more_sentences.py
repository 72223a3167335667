"""The order effect beyond the test split: nothing a prompt was trained on, and an interval that
covers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import normalise
from labkit.experiments import more_sentences, order
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.rows import from_digits
from labkit.experiments.evidence import READERS, Result
from labkit.experiments.order import OrderSetting
from labkit.shuffle_probe import Shuffle, incomplete_design, scattered_effect
from labkit.soft_prompt import SoftPrompt, load_prompt

TRAINED_ON = 6


@pytest.fixture
def trained(monkeypatch):
    """Texts that training has read, prompt by prompt."""
    texts, encode, fit = [], PromptedModel.encode, order.fit

    def recorded(*given, **named):
        def noted(model, examples, *rest, **more):
            seen.update(example.text for example in examples)
            return encode(model, examples, *rest, **more)

        seen: set[str] = set()
        with monkeypatch.context() as during:
            during.setattr(PromptedModel, "encode", noted)
            history = fit(*given, **named)
        texts.append(seen)
        return history

    monkeypatch.setattr(order, "fit", recorded)
    return texts


@pytest.fixture
def result(monkeypatch, trained, two_prompts):
    """Two prompts, each trained on a few examples."""
    monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", TRAINED_ON)
    return two_prompts(*more_sentences.EXPERIMENTS, steps=4)


def test_all_that_a_prompt_was_not_trained_on_is_read_and_nothing_else(result, trained, tiny_task):
    everything = [*tiny_task.split("test"), *tiny_task.split("train")]
    assert len(trained) == 2 and trained[0] != trained[1]
    for row, known in zip(result["rows"], trained, strict=True):
        read = [everything[place].text for place in row["sentences"]]
        assert row["n"] == len(read) == len(set(row["sentences"]))
        unknown = [example.text for example in everything if not overlaps(example.text, known)]
        assert sorted(read) == sorted(unknown)
    assert len(unknown) < len(everything) - TRAINED_ON  # some texts stand in both splits


def overlaps(text, known):
    """Whether it stands in one of the known texts, or one of them in it, word by word."""
    words = f" {normalise(text)} "
    return any(words in f" {normalise(k)} " or f" {normalise(k)} " in words for k in known)


def test_training_that_leaves_nothing_is_refused(tiny_task, tiny_folder, monkeypatch):
    setting = OrderSetting("tiny", str(tiny_folder("llama")), Recipe(length=8))
    for most in (None, 1000):
        monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", most)
        with pytest.raises(LabError, match="order-effect"):
            more_sentences.leaves_some(setting, tiny_task, None)
    monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", TRAINED_ON)
    more_sentences.leaves_some(setting, tiny_task, None)
    with pytest.raises(LabError, match="--profile small"):
        more_sentences.leaves_some(replace(setting, profile="full"), tiny_task, None)


def test_answers_are_those_of_the_orders_one_by_one(result, tiny_task, tmp_path):
    everything = [*tiny_task.split("test"), *tiny_task.split("train")]
    row = result["rows"][1]
    model = PromptedModel.for_task(more_sentences.shared_backbone(row["backbone"]), tiny_task)
    (folder,) = (tmp_path / "prompts").glob("*-seed1")
    vectors = load_prompt(folder)[0]().detach()
    design = incomplete_design(Shuffle(), 8, row["n"], per_sentence=1, seed=1)
    order_of = dict(zip(design.sentence, design.order, strict=True))
    for at, place in enumerate(row["sentences"]):
        alone = tiny_task.with_splits(test=[everything[place]])
        places = design.orders[order_of[at]]
        answers = [
            evaluate(model, SoftPrompt(rows), alone).correct[0]
            for rows in (vectors, vectors[places])
        ]
        kept = from_digits(row["correct"])[at], from_digits(row["shuffled"])[at]
        assert tuple(answers) == kept


def test_parts_add_up_to_the_whole(result):
    lines = {line["part"]: line for line in result["pooled"]}
    whole, *parts = (
        lines[name]
        for name in (more_sentences.ALL, more_sentences.OF_TEST, more_sentences.OF_TRAIN)
    )
    assert whole["scorings"] == sum(row["n"] for row in result["rows"])
    for row, mean in zip(result["rows"], whole["by_prompt"], strict=True):
        lost = row["correct"].count("1") - row["shuffled"].count("1")
        assert mean == pytest.approx(-lost / row["n"])
    for name in ("sentences", "scorings"):
        assert whole[name] == sum(part[name] for part in parts)
    changes = [part["scorings"] * part["mean_difference"][0] for part in parts]
    assert whole["mean_difference"][0] == pytest.approx(sum(changes) / whole["scorings"])


def test_the_ledger_reads_what_a_random_order_changed_on_all_of_them(result, tmp_path):
    file = tmp_path / "more-sentences-tiny.json"
    file.write_text(json.dumps(result), encoding="utf-8")
    (reading,) = READERS["order on part"](Result.read(file), more_sentences.ALL)
    right = {key: "".join(row[key] for row in result["rows"]) for key in ("correct", "shuffled")}
    lost = right["correct"].count("1") - right["shuffled"].count("1")
    assert reading.difference.value == pytest.approx(-lost / len(right["correct"]))
    places = {place for row in result["rows"] for place in row["sentences"]}
    assert (reading.seeds, reading.n) == (2, len(places))


def test_a_prompt_that_has_not_learned_is_not_probed(result, tmp_path):
    rows = [dict(row, learns=False) for row in result["rows"]]
    assert more_sentences.pool(rows, tmp_path) == []


def drawn(random, *, prompts, of_all, each, spreads):
    """Effects of prompts on sentences of their own draws, around zero: (K,), prompt, sentence."""
    of_prompt, of_sentence, rest = spreads
    sentence = np.concatenate([random.permutation(of_all)[:each] for _ in range(prompts)])
    prompt = np.repeat(np.arange(prompts), each)
    effects = random.normal(0, of_prompt, prompts)[prompt]
    effects += random.normal(0, of_sentence, of_all)[sentence]
    return effects + random.normal(0, rest, len(effects)), prompt, sentence


@pytest.mark.parametrize("spreads", [(0.03, 0.3, 0.3), (0.0, 0.4, 0.1), (0.1, 0.0, 0.1)])
def test_the_interval_covers_the_effect_of_other_prompts_and_sentences(spreads):
    random = np.random.default_rng(0)
    sizes = {"prompts": 12, "of_all": 600, "each": 200}
    worlds = [scattered_effect(*drawn(random, **sizes, spreads=spreads)) for _ in range(400)]
    assert np.mean([world.low <= 0 <= world.high for world in worlds]) > 0.92


def test_other_sentences_for_each_prompt_narrow_what_the_same_ones_leave():
    spreads = (0.01, 0.4, 0.3)
    half_widths = []
    for of_all in (200, 2000):
        random = np.random.default_rng(1)
        sizes = {"prompts": 12, "of_all": of_all, "each": 200}
        worlds = [scattered_effect(*drawn(random, **sizes, spreads=spreads)) for _ in range(100)]
        half_widths.append(np.mean([(world.high - world.low) / 2 for world in worlds]))
    assert half_widths[1] < half_widths[0] / 2
