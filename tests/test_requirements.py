"""What a table can't be made of is said before anything is trained for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.tasks import Task, classes_of
from labkit.experiments import order
from labkit.experiments.base import runner


@pytest.fixture
def ratings(tiny_task: Task) -> Task:
    """The tiny task's sentences with a number for each."""
    splits = {
        split: tuple(replace(e, label=float(e.label)) for e in examples)
        for split, examples in tiny_task.splits.items()
    }
    return replace(tiny_task, name="ratings", labels=(), range=(0.0, 5.0), splits=splits)


@pytest.mark.parametrize(
    "table",
    [
        "order-worth",
        "order-dose",
        "order-effect",
        "first-place",
        "connectivity",
        "pruning",
        "worth-of-sorting",
    ],
)
def test_a_table_of_right_and_wrong_answers_refuses_a_regression(
    monkeypatch, tiny_folder, ratings, tmp_path, table
):
    monkeypatch.setattr(runner, "load_task", lambda name: ratings)
    with pytest.raises(LabError, match=r"ratings asks for a number.*--task"):
        experiments.run(table, backbone=str(tiny_folder("llama")), out=tmp_path)
    assert not (tmp_path / "prompts").exists()


def test_patching_refuses_a_model_that_reads_words_and_virtual_tokens_together(
    monkeypatch, tiny_folder, tiny_task, tmp_path
):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    with pytest.raises(LabError, match=r"bert .mlm.*--backbone"):
        experiments.run("first-place", backbone=str(tiny_folder("bert")), out=tmp_path)
    assert not (tmp_path / "prompts").exists()


@pytest.mark.parametrize("limit", [7, None])
def test_an_order_table_refuses_fewer_examples_than_can_be_cut_in_halves(
    monkeypatch, tiny_folder, tiny_task, tmp_path, limit
):
    few = tiny_task
    if limit is None:
        few = tiny_task.with_splits(test=tiny_task.split("test")[:7])
    monkeypatch.setattr(runner, "load_task", lambda name: few)
    says = "--limit 7.* 8 test" if limit else "split of tiny has 7 .* need 8"
    with pytest.raises(LabError, match=says):
        experiments.run("table5", backbone=str(tiny_folder("llama")), out=tmp_path, limit=limit)
    assert not (tmp_path / "prompts").exists()


LEAST = {
    "order-effect": 2,
    "order-worth": 2,
    "order-dose": 2,
    "worth-of-sorting": 2,
    "order-search-prompts": 2,
    "pruning": 2,
    "first-place": 2,
    "more-sentences": 9,
}
"""The smallest --limit that leaves an interval for other sentences, and for other orders."""


@pytest.mark.parametrize("table", LEAST)
def test_a_limit_that_leaves_no_interval_is_refused(
    monkeypatch, tiny_folder, tiny_task, tmp_path, table
):
    monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", 6)
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    least = LEAST[table]
    says = f"--limit {least - 1}: these rows need {least} "
    with pytest.raises(LabError, match=says):
        experiments.run(
            table, backbone=str(tiny_folder("llama")), out=tmp_path, limit=least - 1, seeds=(0, 1)
        )
    assert not (tmp_path / "prompts").exists()


@pytest.mark.parametrize("table", ["order-effect", "more-sentences"])
def test_the_least_limit_is_enough(monkeypatch, two_prompts, table):
    monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", 6)
    result = two_prompts(experiments.EXPERIMENTS[table], limit=LEAST[table])
    assert {row["n"] for row in result["rows"]} == {LEAST[table]} and result["pooled"]


def test_splits_that_leave_one_order_are_refused(monkeypatch, tiny_folder, tiny_task, tmp_path):
    few = tiny_task.with_splits(test=tiny_task.split("test")[:2])
    monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", len(few.split("train")) - 6)
    monkeypatch.setattr(runner, "load_task", lambda name: few)
    with pytest.raises(LabError, match=r"tiny has 8 examples that no prompt .* need 9.*--task"):
        experiments.run("more-sentences", backbone=str(tiny_folder("llama")), out=tmp_path)
    assert not (tmp_path / "prompts").exists()


def test_examples_of_a_regression_have_no_classes(tiny_task, ratings):
    examples = tiny_task.split("test")
    assert classes_of(examples) == [example.label for example in examples]
    with pytest.raises(LabError, match=r"label of example .* is a number"):
        classes_of(ratings.split("test"))
