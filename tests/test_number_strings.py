"""STS-B in two poles and in writing: each row is what its kept prompt says, controls have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from labkit import experiments, glue
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import TASK_PROMPTS, Example, Task, TaskPrompt
from labkit.core.tuning import fit
from labkit.experiments import number_strings
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.number_strings import LONGER, NUMBER, POLES
from labkit.soft_prompt import initialise, load_prompt

WORDS = {"0.0": "terrible", "2.5": "good", "5.0": "great"}
"""The tiny tokenizer knows no digits: its numbers are words."""


@pytest.fixture
def rated(tiny_task) -> Task:
    examples = tuple(
        Example(e.id, {"sentence1": e.text, "sentence2": e.text}, 2.5 * (i % 3))
        for i, e in enumerate(tiny_task.split("train"))
    )
    splits = {"train": examples, "validation": examples, "test": examples}
    prompts = TASK_PROMPTS["stsb"] | {
        "seq2seq": TaskPrompt("{sentence1} {sentence2}", {"low": "bad", "high": "great"})
    }
    fields = ("sentence1", "sentence2")
    return Task("stsb", fields, (), splits, range=(0.0, 5.0), prompts=prompts)


@pytest.fixture
def in_words(monkeypatch):
    inner = glue.with_number_strings

    def with_words(task):
        task = inner(task)
        template = task.prompt_for("seq2seq").template
        return replace(task, prompts={"seq2seq": TaskPrompt(template, WORDS)})

    monkeypatch.setattr(glue, "STEP", 2.5)
    # whatever an untaught model writes is a number, of which one in seven is out of range
    monkeypatch.setattr(glue, "number_in", lambda text: float(len(text) % 7))
    monkeypatch.setattr(number_strings, "with_number_strings", with_words)


def test_rows_are_what_their_kept_prompts_say(monkeypatch, tiny_folder, rated, in_words, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: rated)
    monkeypatch.setattr(number_strings, "T5_WORDS", "film {sentence1} review {sentence2}")
    recipe = replace(RECIPES["seq2seq"], length=6, lr=0.1, steps=3, batch_size=12)
    monkeypatch.setitem(RECIPES, "seq2seq", recipe)
    number_strings.shared_backbone.cache_clear()
    folder = str(tiny_folder("t5"))
    result = experiments.run("number-strings", backbone=folder, out=tmp_path, seeds=(0, 1))
    rows = {(row["setting"], row["seed"]): row for row in result["rows"]}
    assert len(rows) == 2 * 3 + 3 and rows[LONGER, 1]["steps"] == 9
    backbone = number_strings.shared_backbone(folder)
    poles = PromptedModel.for_task(backbone, rated)
    asked = number_strings.with_number_strings(rated)
    numbers = PromptedModel.for_task(backbone, asked)
    examples = rated.take("test", 1000)
    labels = [example.label for example in examples]
    kept = [load_prompt(path)[0] for path in (tmp_path / "prompts").iterdir()]
    assert len(kept) == 2 * 3

    def in_poles(model, prompt):
        said = evaluate(model, prompt, rated, limit=1000).predictions
        return [round(float(value), 3) for value in said]

    def written(model, prompt):
        values, unread = glue.read_numbers(model, prompt, examples, rated.range)
        return values.tolist(), unread

    for seed in (0, 1):
        said = rows[POLES, seed]["predictions"]
        assert said in [in_poles(poles, prompt) for prompt in kept]
        row = rows[NUMBER, seed]
        assert (row["predictions"], row["unread"]) in [written(numbers, p) for p in kept]
        assert rows[POLES, seed]["unread"] is None
        by_hand = stats.pearsonr(row["predictions"], labels).statistic
        assert row["value"] == pytest.approx(by_hand)
    taught = initialise("vocab", backbone, 6, numbers.verbalizer, 1)
    count = len(rated.split("train"))
    fit(numbers, taught, asked, recipe, seed=1, limit=count, loss="target")
    assert any(torch.equal(taught(), prompt()) for prompt in kept)
    bare = rows[f"{POLES}, no prompt", 0]["predictions"]
    assert bare == in_poles(PromptedModel.for_task(backbone, rated, soft=False), None)
    assert rows[f"{NUMBER}, no prompt, T5's words", 0]["template"].startswith("film ")
    line, longer = result["pooled"]
    gains = [rows[NUMBER, seed]["value"] - rows[POLES, seed]["value"] for seed in (0, 1)]
    assert line["by_prompt"] == gains
    assert line["mean_difference"][0] == pytest.approx(np.mean(gains))
    assert longer["by_prompt"][1] == rows[LONGER, 1]["value"] - rows[POLES, 1]["value"]
    text = next(tmp_path.glob("*.md")).read_text(encoding="utf-8")
    assert f"| {NUMBER} − {POLES} | 2 |" in text and "## Verdicts" in text


def test_a_model_that_writes_nothing_is_refused(monkeypatch, rated, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: rated)
    with pytest.raises(LabError, match=r"minilm .encoder. writes no text"):
        experiments.run("number-strings", backbone="minilm", out=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_task_of_classes_is_refused_before_anything_is_trained(
    monkeypatch, tiny_folder, tiny_task, tmp_path
):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    for setting in (POLES, NUMBER):
        with pytest.raises(LabError, match="is no regression"):
            experiments.run(
                "number-strings",
                backbone=str(tiny_folder("t5")),
                task=tiny_task.name,
                only=[setting],
                out=tmp_path,
            )
    assert not (tmp_path / "prompts").exists()
