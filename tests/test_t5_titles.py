"""``t5-titles``, turned from two quantised graphs into one folder: held against transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from labkit.core import assets
from labkit.core.conversions import t5_name
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import TRAINED_ON, load_task
from labkit.core.templates import Verbalizer

pytestmark = pytest.mark.skipif(
    not assets.is_ready(assets.ASSETS["t5-titles"]), reason="run `labkit assets fetch`"
)


@pytest.fixture(scope="module")
def folder() -> Path:
    return assets.locate("t5-titles")


@pytest.fixture(scope="module")
def reference(folder: Path) -> transformers.T5ForConditionalGeneration:
    """Hugging Face's own model, filled by hand: nothing is tied, nothing left at random."""
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.T5ForConditionalGeneration(config)
    weights = load_file(folder / "model.safetensors")
    expected = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in weights.items()} == expected
    for name, value in weights.items():
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(value.float()))
    return model.eval()


def test_names_of_both_graphs() -> None:
    assert t5_name("enc/block.0/layer.0/SelfAttention/q") == (
        "encoder.block.0.layer.0.SelfAttention.q.weight"
    )
    assert t5_name("m.decoder.final_layer_norm.weight") == "decoder.final_layer_norm.weight"
    assert t5_name("m/lm_head") == "lm_head.weight"


def test_scores_are_those_of_transformers(
    folder: Path, reference: transformers.T5ForConditionalGeneration
) -> None:
    """Log-probability of a label text and its end, by the loss of Hugging Face's model."""
    backbone = load_backbone("t5-titles", device="cpu", dtype=torch.float32)
    words = {"negative": "negative", "positive": "positive"}
    template = "Review: {text} Is this review positive or negative?"
    task = load_task("rt-polarity")
    scores = evaluate(
        PromptedModel(backbone, template, Verbalizer(words)), None, task, limit=6
    ).scores
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row, example in zip(scores, task.take("test", 6, seed=0), strict=True):
        inputs = tokenizer(template.replace("{text}", example.text), return_tensors="pt")
        for score, word in zip(row, words.values(), strict=True):
            labels = tokenizer(word, return_tensors="pt").input_ids
            with torch.no_grad():
                loss = reference(**inputs, labels=labels).loss
            assert score == pytest.approx(-loss.item() * labels.shape[1], abs=2e-4)


def test_it_answers_a_question_about_a_review_in_either_precision() -> None:
    """0.76 of the first hundred test sentences without any training, and bf16 costs nothing."""
    task = load_task("rt-polarity")
    prompt = task.prompt_for("seq2seq")
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        backbone = load_backbone("t5-titles", device="cpu", dtype=dtype)
        model = PromptedModel(backbone, prompt.template, Verbalizer(prompt.verbalizer))
        results.append(evaluate(model, None, task, limit=40))
    assert results[0].value >= 0.65
    assert (results[0].predictions == results[1].predictions).mean() >= 0.95


def test_tasks_of_its_own_training_are_marked() -> None:
    assert TRAINED_ON["t5-titles"] >= {"sst2", "rte", "mrpc", "qnli", "qqp", "mnli", "stsb"}
