"""Lab A: what it promises of its parts together, of its budget and of its example of a report."""

from __future__ import annotations

import ast
import json
import re
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

import labkit
from conftest import ROOT
from labkit import experiments
from labkit.core.statistics import accuracy_interval, paired_difference
from labkit.core.templates import Verbalizer
from labkit.course.exercises import checks
from labkit.course.exercises.cells import grading, read
from labkit.course.exercises.stand_ins import STAND_INS

NOTEBOOK = read(ROOT / "notebooks" / "lab_a_soft_prompt.ipynb")
CELLS = {cell.id: cell.source for cell in NOTEBOOK.cells}


class Budget(NamedTuple):
    """As in the notebook."""

    steps: int
    batch_size: int
    lr: float
    warmup: int
    seed: int = 0


def budgets() -> dict[str, Budget]:
    """``BUDGETS`` of the notebook, without running it."""
    for node in ast.parse(CELLS["budget"]).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "BUDGETS":
            return eval(compile(ast.Expression(node.value), "<budget>", "eval"), {"Budget": Budget})
    raise AssertionError("the notebook has no BUDGETS")


def row_of(setting: str) -> dict:
    rows = experiments.reference("soft-against-hard", "smollm2")["rows"]
    (row,) = [row for row in rows if row["setting"] == setting and row["seed"] == 0]
    return row


def correct(setting: str) -> np.ndarray:
    return np.array([letter == "1" for letter in row_of(setting)["correct"]])


def test_the_parts_together_train_as_the_library_does(tiny_backbone, tiny_task) -> None:
    """The same start, batches and budget: the losses of `fit`, and its vectors at the end."""
    backbone = tiny_backbone("llama")
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    opponent = labkit.PromptedModel(backbone, labkit.Template("{soft}{text} It was {mask}"), words)
    theirs = labkit.SoftPrompt.from_vocab(backbone, length=3, seed=0)
    mine = STAND_INS["soft_prompt"](theirs().detach())
    budget = Budget(steps=9, batch_size=5, lr=5e-3, warmup=3)
    history = labkit.fit(
        opponent, theirs, tiny_task, **budget._asdict(), schedule="linear", clip=None
    )

    examples = tiny_task.split("train")
    tokenizer = backbone.tokenizer
    rows = [tokenizer(f"{example.text} It was")["input_ids"] for example in examples]
    ids = [
        tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        for word in ("terrible", "great")
    ]
    assert all(len(pieces) == 1 for pieces in ids)
    parts = SimpleNamespace(**STAND_INS)
    targets = [example.label for example in examples]
    losses = parts.train(
        parts, backbone.model, mine, rows, targets, [pieces[0] for pieces in ids], 0, budget
    )
    assert losses == pytest.approx(history.losses, abs=1e-4)
    torch.testing.assert_close(mine.vectors.detach(), theirs().detach(), rtol=1e-3, atol=1e-4)


def test_the_score_to_reach_was_made_with_the_budget_of_the_lab() -> None:
    """Else the run that counts would say so after its twenty minutes."""
    row, budget = row_of("soft prompt"), budgets()["full"]
    assert {name: row[name] for name in Budget._fields} == budget._asdict()
    assert (row["schedule"], row["optimizer"], row["clip"]) == ("linear", "adam", None)
    assert (row["length"], row["init"], row["template"]) == (
        20,
        "vocab",
        "{soft}{text} It was {mask}",
    )
    assert row["n"] == 1060 and "1,060" in CELLS["run-text"]
    assert f"{budget.steps} steps of {budget.batch_size} reviews" in CELLS["run-text"]


def test_the_example_of_a_report_says_what_the_file_says() -> None:
    """Every number of it with a decimal point, and every count, is one of these."""
    (answer,) = [c.source for c in NOTEBOOK.cells if grading(c).get("grade_id") == "ex9-answer"]
    prompt, hard, untrained = map(
        correct, ("soft prompt", "best hard prompt", "untrained soft prompt")
    )
    known = {f"{value:.3f}" for value in (prompt.mean(), hard.mean(), untrained.mean())}
    known |= {f"{end:.3f}" for end in accuracy_interval(prompt)}
    known |= {f"{abs(value):.3f}" for value in paired_difference(prompt, hard)}
    known |= {f"{row_of('soft prompt')['majority']:.3f}", "0.005"}
    assert set(re.findall(r"\d\.\d+", answer)) <= known
    assert f"{prompt.sum()} of 1,060" in answer


def test_an_untouched_class_is_told_to_be_empty(tmp_path, monkeypatch) -> None:
    """Its source can be read, as in a notebook: the lines of its methods count, not they."""
    skeleton = read(ROOT / "assignments" / "lab_a_soft_prompt.ipynb")
    (stub,) = [c.source for c in skeleton.cells if grading(c).get("grade_id") == "ex1-solution"]
    written = stub.replace("raise", "super().__init__()\n        raise", 1)
    for name, source, expected in (
        ("untouched", stub, "soft_prompt is still empty"),
        ("begun", written, "still stands beside what you wrote"),
    ):
        (tmp_path / f"{name}.py").write_text("from torch import Tensor, nn\n\n\n" + source, "utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        module = __import__(name)
        with pytest.raises(AssertionError, match=expected):
            checks.check_soft_prompt(module.SoftPrompt)


def test_a_loop_that_hands_the_work_to_the_library_is_refused() -> None:
    """The parts that the check hands in are labkit's too, and don't count."""

    def train(parts, model, prompt, rows, targets, words, pad, budget):
        return STAND_INS["train"](parts, model, prompt, rows, targets, words, pad, budget)

    with pytest.raises(AssertionError, match="hands the work to labkit"):
        checks.check_train(train)


def test_the_prompt_of_the_lab_is_one_of_pefts(tmp_path) -> None:
    """What stands in writes what `load_prompt` and PEFT's own configuration read."""
    vectors = torch.arange(12.0).reshape(3, 4)
    STAND_INS["save_prompt"](vectors, tmp_path / "mine", "smollm2")
    prompt, card = labkit.load_prompt(tmp_path / "mine")
    assert card is None and torch.equal(prompt().detach(), vectors)
    config = json.loads((tmp_path / "mine" / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == "smollm2"
