"""The prompts that come with the course: each opens as it was scored, and scores as it says."""

from __future__ import annotations

import json
import math

import pytest

from labkit import evaluate, load_prompt, load_task
from labkit.experiments import PROMPTS

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
