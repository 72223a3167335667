"""The prompts that come with the course: each opens as it was scored, and scores as it says."""

from __future__ import annotations

import json
import math

import pytest

from labkit import evaluate, load_prompt, load_task
from labkit.core.tasks import Example
from labkit.experiments import PROMPTS
from labkit.glue import number_in, written_answers

MASKED, T5 = "minilm-mlm-rt-polarity", "t5-titles-rt-polarity"
SENTENCES = 96


@pytest.mark.parametrize("name", [MASKED, T5])
def test_a_kept_prompt_scores_what_its_card_says(name: str) -> None:
    """On a sample that is far above the majority class, and within four deviations of the card."""
    prompt, card = load_prompt(PROMPTS / name)
    model = card.model(card.load_backbone())
    result = evaluate(model, prompt, load_task("rt-polarity"), "test", limit=SENTENCES)
    stated = card.scores["value"]
    deviation = math.sqrt(stated * (1 - stated) / SENTENCES)
    assert abs(result.value - stated) < 4 * deviation


@pytest.mark.parametrize(("name", "ahead"), [(MASKED, 0.20), (T5, 0.25)])
def test_models_that_were_made_here_can_be_prompted(name: str, ahead: float) -> None:
    """On the whole test split a soft prompt is that far above the majority class."""
    card = json.loads((PROMPTS / name / "labkit.json").read_text(encoding="utf-8"))
    scores = card["scores"]
    assert scores["n"] == len(load_task("rt-polarity").split("test"))
    assert scores["value"] - scores["majority"] >= ahead
    assert "/" not in card["command"].replace(f"data/prompts/{name}", "")


def test_the_kept_writer_writes_higher_numbers_for_what_says_the_same() -> None:
    prompt, card = load_prompt(PROMPTS / "t5-titles-stsb-numbers")
    model = card.model(card.load_backbone())
    texts = ["A woman slices an onion.", "A boy rides a horse.", "The market fell on Friday."]
    pairs = [
        Example(f"{first}{second}", {"sentence1": first, "sentence2": second}, 0.0)
        for first in texts
        for second in texts
    ]
    same = [pair.fields["sentence1"] == pair.fields["sentence2"] for pair in pairs]
    numbers = [number_in(text) for text in written_answers(model, prompt, pairs)]
    assert not any(math.isnan(number) for number in numbers)
    alike = [number for number, is_same in zip(numbers, same, strict=True) if is_same]
    others = [number for number, is_same in zip(numbers, same, strict=True) if not is_same]
    assert sum(alike) / 3 > sum(others) / 6 + 1
    bare = model.with_changes(template=model.template.text.removeprefix("{soft}"))
    assert all(math.isnan(number_in(text)) for text in written_answers(bare, None, pairs))
