"""Prompted models: label words, candidates, what is refused, and evaluation against brute force."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate, for_classes, interpolate
from labkit.core.tasks import Example
from labkit.core.templates import Verbalizer
from labkit.soft_prompt import SoftPrompt
from tiny import FAMILIES

EXACT = {"rtol": 1e-6, "atol": 1e-5}


def prompt_for(backbone, length=3) -> SoftPrompt:
    return SoftPrompt.from_uniform(backbone, length, seed=1)


# ---- label words ----


@pytest.mark.parametrize(
    ("family", "template", "pieces"),
    [
        ("gpt2", "{text} It was {mask}", [["Ġgreat"], ["Ġm", "a", "r", "ve", "l", "lo", "u", "s"]]),
        ("gpt2", "{text}\n{mask}", [["gr", "eat"], ["m", "a", "r", "ve", "l", "lo", "u", "s"]]),
        ("roberta", "{text} {mask}.", [["Ġgreat"], ["Ġm", "a", "r", "ve", "l", "lo", "u", "s"]]),
        ("bert", "{text} {mask}.", [["great"], list("marvellous")]),
    ],
)
def test_the_space_before_the_mask_goes_into_the_first_piece(
    tiny_backbone, family, template, pieces
):
    backbone = tiny_backbone(family)
    model = PromptedModel(backbone, template, Verbalizer({"a": "great", "b": "marvellous"}))
    names = backbone.tokenizer.convert_ids_to_tokens
    cut = [[piece.removeprefix("##") for piece in names(ids)] for ids in model.labels().words]
    assert cut == pieces
    assert model.labels().classes == ((0,), (1,))


@pytest.mark.parametrize("family", ["bert", "t5", "bert-encoder"])
def test_a_label_word_outside_the_vocabulary_is_refused(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    template = tiny_task.prompt_for(backbone.readout).template
    model = PromptedModel(backbone, template, Verbalizer({"a": "great", "b": "好"}))
    with pytest.raises(LabError, match="'好' is not in the vocabulary"):
        model.scores(None, tiny_task.split("test"))


@pytest.mark.parametrize("family", ["bert", "bert-encoder"])
def test_two_classes_of_the_same_pieces_are_refused(tiny_backbone, tiny_task, family):
    """To a tokenizer that writes everything small; one that does not tells them apart."""
    words = Verbalizer({"negative": ("bad", "Great"), "positive": ("good", "great")})
    task = tiny_task
    line = task.prompt_for(tiny_backbone(family).readout).template
    with pytest.raises(LabError, match=r"words 'Great' and 'great' of two classes.*; choose"):
        evaluate(PromptedModel(tiny_backbone(family), line, words), None, task)
    evaluate(PromptedModel(tiny_backbone("roberta"), "{text} It was {mask}.", words), None, task)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_word_counts_once_in_its_class(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)
    twice = {"negative": ("bad", "dull", "bad", " dull"), "positive": "good"}
    if backbone.tokenizer("Bad")["input_ids"] == backbone.tokenizer("bad")["input_ids"]:
        twice["negative"] = ("Bad", "bad", "dull", "Dull", "bad")
    examples = tiny_task.split("test")
    given = model.with_changes(verbalizer=Verbalizer(twice))
    once = model.with_changes(verbalizer=Verbalizer({**twice, "negative": ("bad", "dull")}))
    assert torch.equal(given.scores(None, examples), once.scores(None, examples))


# ---- candidates ----


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_per_example_score_as_the_same_label_words(tiny_backbone, tiny_task, family):
    backbone, prompt = tiny_backbone(family), prompt_for(tiny_backbone(family))
    model = PromptedModel.for_task(backbone, tiny_task)
    examples = tiny_task.split("test")[:6]
    sets = [("great", "dull", "marvellous"), ("bad", "good", "very funny")]
    answers = [sets[i % 2] for i in range(len(examples))]
    ours = model.scores(prompt, examples, candidates=answers)
    assert ours.shape == (6, 3)
    for row, (example, words) in enumerate(zip(examples, answers, strict=True)):
        alone = PromptedModel(backbone, model.template, Verbalizer({w: w for w in words}))
        torch.testing.assert_close(ours[[row]], alone.scores(prompt, [example]), **EXACT)


def test_a_candidate_may_stand_twice(tiny_backbone, tiny_task):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)
    scores = model.scores(None, tiny_task.split("test")[:1], [["great", "bad", "great"]])
    assert scores.shape == (1, 3) and scores[0, 0] == scores[0, 2] != scores[0, 1]
    small = PromptedModel.for_task(tiny_backbone("bert"), tiny_task, soft=False)
    scores = small.scores(None, tiny_task.split("test")[:1], [["great", "bad", "Great"]])
    assert scores[0, 0] == scores[0, 2] != scores[0, 1]


@pytest.mark.parametrize(
    "candidates", [[], [["a", "b"]], [["a", "b"], ["a"]], [[], []], [["a"], ["b"], ["c"]]]
)
def test_candidates_of_the_wrong_shape_are_refused(tiny_backbone, tiny_task, candidates):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    with pytest.raises(LabError, match="give every example a list of the same length"):
        model.scores(None, tiny_task.split("test")[:2], candidates)


# ---- what is refused ----


class Fixed(nn.Module):
    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def forward(self):
        return self.vectors


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_that_is_not_finite(tiny_backbone, tiny_task, family, number):
    backbone, prompt = tiny_backbone(family), prompt_for(tiny_backbone(family))
    with torch.no_grad():
        prompt.weight[1, 2] = number
    model = PromptedModel.for_task(backbone, tiny_task)
    with pytest.raises(LabError, match="NaN or infinite"):
        model.scores(prompt, tiny_task.split("test"))
    with pytest.raises(LabError, match="NaN or infinite"):
        evaluate(model, prompt, tiny_task)


@pytest.mark.parametrize("shape", [(3, 31), (3, 64), (32,), (1, 3, 32)])
def test_a_prompt_of_another_shape(tiny_backbone, tiny_task, shape):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task)
    with pytest.raises(LabError, match="takes rows of width 32"):
        model.scores(Fixed(torch.zeros(shape)), tiny_task.split("test"))


def test_a_prompt_without_a_place_and_a_place_without_a_prompt(tiny_backbone, tiny_task):
    backbone, examples = tiny_backbone("gpt2"), tiny_task.split("test")
    hard = PromptedModel.for_task(backbone, tiny_task, soft=False)
    with pytest.raises(LabError, match=r"add \{soft\}"):
        hard.scores(prompt_for(backbone), examples)
    with pytest.raises(LabError, match="no prompt was given"):
        PromptedModel.for_task(backbone, tiny_task).scores(None, examples)


def test_slots_of_another_number_than_the_prompts_rows(tiny_backbone, tiny_task):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel(
        backbone, "{soft:2}{text} {mask}", Verbalizer({"negative": "bad", "positive": "good"})
    )
    with pytest.raises(LabError, match="slots for 2 virtual tokens, the prompt has 3"):
        model.scores(prompt_for(backbone), tiny_task.split("test"))


def test_an_unknown_place_for_bos(tiny_backbone):
    with pytest.raises(LabError, match="choose one of text, first"):
        PromptedModel(
            tiny_backbone("gpt2"), "{text}{mask}", Verbalizer({"a": "x", "b": "y"}), bos="last"
        )


def test_a_template_is_refused_when_the_model_is_made(tiny_backbone):
    with pytest.raises(LabError, match=r"does not end in \{mask\}"):
        PromptedModel(tiny_backbone("gpt2"), "{mask} {text}", Verbalizer({"a": "x", "b": "y"}))


# ---- evaluation ----


def test_accuracy_against_counting_by_hand(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), prompt_for(backbone)
    result = evaluate(model, prompt, tiny_task)
    right = 0
    for example in tiny_task.split("test"):
        negative, positive = model.scores(prompt, [example])[0].tolist()
        right += (positive > negative) == (example.label == 1)
    assert result.value == right / 12
    assert result.metric == "accuracy" and result.n == 12 and result.majority == 0.5
    wilson = stats.binomtest(right, 12).proportion_ci(0.95, method="wilson")
    assert tuple(result.ci95) == pytest.approx((wilson.low, wilson.high))
    assert result.correct.sum() == right
    assert result.shortened == 0 and result.seconds > 0
    assert f"accuracy {right / 12:.3f}" in str(result) and "n = 12" in str(result)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_columns_follow_the_tasks_classes_whatever_the_order_of_the_words(
    tiny_backbone, tiny_task, family
):
    backbone = tiny_backbone(family)
    model, prompt = PromptedModel.for_task(backbone, tiny_task), prompt_for(backbone)
    swapped = PromptedModel(
        backbone, model.template, Verbalizer({"positive": "great", "negative": "terrible"})
    )
    one, other = evaluate(model, prompt, tiny_task), evaluate(swapped, prompt, tiny_task)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    assert one.value == other.value


def test_reordering_keeps_the_models_other_settings(tiny_backbone, tiny_task):
    model = PromptedModel(
        tiny_backbone("llama"),
        "{text} It was {mask}",
        Verbalizer({"positive": "great", "negative": "terrible"}),
        bos="first",
        sentinel=True,
        max_length=20,
    )
    ordered = for_classes(model, tiny_task)
    assert ordered.verbalizer.labels == tiny_task.labels
    assert (ordered.bos, ordered.sentinel, ordered.max_length) == ("first", True, 20)


def test_other_classes_than_the_tasks_are_refused(tiny_backbone, tiny_task):
    model = PromptedModel(
        tiny_backbone("gpt2"), "{text} {mask}", Verbalizer({"bad": "bad", "good": "good"})
    )
    with pytest.raises(LabError, match="name exactly these"):
        evaluate(model, None, tiny_task)


def test_limit_takes_the_same_sample_every_time(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    first, again = (evaluate(model, None, tiny_task, "train", limit=7) for _ in range(2))
    assert first.n == 7
    np.testing.assert_array_equal(first.scores, again.scores)
    with pytest.raises(LabError, match="no split 'dev'"):
        evaluate(model, None, tiny_task, "dev")


def test_bias_is_taken_from_the_scores(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    plain = evaluate(model, None, tiny_task)
    shifted = evaluate(model, None, tiny_task, bias=[1000.0, 0.0])
    np.testing.assert_allclose(shifted.scores, plain.scores - [1000.0, 0.0], rtol=1e-5)
    assert (shifted.predictions == 1).all() and shifted.value == 0.5


def test_a_bias_by_name_goes_to_its_class_whatever_the_order_of_the_words(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    turned = model.with_changes(verbalizer=model.verbalizer.reordered(["positive", "negative"]))
    plain = evaluate(model, None, tiny_task).scores
    for given in (model, turned):
        for bias in ({"positive": 0.0, "negative": 7.0}, [7.0, 0.0]):
            scores = evaluate(given, None, tiny_task, bias=bias).scores
            np.testing.assert_allclose(scores, plain - [7.0, 0.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("bias", "says"),
    [
        ([1.0], r"the shape \(1,\) for 2 classes"),
        (0.5, r"the shape \(\) for 2 classes"),
        (np.zeros((12, 2)), r"the shape \(12, 2\) for 2 classes"),
        ([math.nan, 0.0], "NaN or infinite"),
        ([0.0, -math.inf], "NaN or infinite"),
        (["much", 0.0], "no list of numbers"),
        ({"negative": 1.0}, r"numbers for \['negative'\], the task has"),
        ({"low": 1.0, "high": 1.0}, "name exactly these"),
    ],
)
def test_a_bias_that_is_no_number_for_each_class(tiny_backbone, tiny_task, bias, says):
    model = PromptedModel.for_task(tiny_backbone("gpt2"), tiny_task, soft=False)
    with pytest.raises(LabError, match=says) as caught:
        evaluate(model, None, tiny_task, bias=bias)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_texts_that_were_cut_are_counted(tiny_backbone, tiny_task):
    long = Example("long", {"text": "a great film " * 50}, 1)
    task = replace(tiny_task, splits={"test": (*tiny_task.split("test"), long)})
    model = PromptedModel.for_task(tiny_backbone("gpt2"), task, soft=False)
    assert evaluate(model, None, task).shortened == 1


def test_interpolation_between_the_poles():
    scores = np.array([[0.0, 0.0], [0.0, np.log(3)], [80.0, 0.0], [0.0, 80.0]])
    np.testing.assert_allclose(interpolate(scores, (-4, 4)), [0, 2, -4, 4], atol=1e-6)
    p = torch.tensor(scores).softmax(-1)[:, 1].numpy()
    np.testing.assert_allclose(interpolate(scores, (1, 5)), 1 + 4 * p)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_poles_far_apart_give_the_ends_and_no_warning(dtype):
    scores = np.array([[0.0, -1e4], [0.0, -200.0], [0.0, 200.0], [-1e4, 0.0]], dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(interpolate(scores, (0, 5)), [0, 0, 5, 5], atol=1e-30)


@pytest.mark.parametrize("poles", [("low", "high"), ("high", "low")])
def test_the_poles_of_a_regression_are_told_by_their_names(tiny_backbone, tiny_task, poles):
    examples = tuple(replace(e, label=float(i % 5)) for i, e in enumerate(tiny_task.split("test")))
    task = replace(tiny_task, labels=(), range=(0.0, 5.0), splits={"test": examples})
    words = {"low": "terrible", "high": "great"}
    backbone = tiny_backbone("gpt2")
    given = Verbalizer({pole: words[pole] for pole in poles})
    model = PromptedModel(backbone, "{text} It was {mask}", given)
    each = [model.scores(None, examples, [[words[p]]] * 12)[:, 0] for p in ("low", "high")]
    values = 5 * torch.sigmoid(each[1] - each[0]).numpy()
    np.testing.assert_allclose(evaluate(model, None, task).predictions, values, rtol=1e-4)
    for labels in (("bad", "good"), ("low", "top"), ("negative", "positive")):
        named = Verbalizer(dict(zip(labels, ("bad", "good"), strict=True)))
        other = model.with_changes(verbalizer=named)
        with pytest.raises(LabError, match=f"words for {', '.join(labels)}; give .* low and high"):
            evaluate(other, None, task)


def test_regression_is_scored_with_pearsons_r(tiny_backbone, tiny_task):
    examples = tuple(replace(e, label=float(i % 5)) for i, e in enumerate(tiny_task.split("test")))
    task = replace(tiny_task, labels=(), range=(0.0, 5.0), splits={"test": examples})
    backbone, words = tiny_backbone("llama"), Verbalizer({"low": "terrible", "high": "great"})
    model = PromptedModel.for_task(backbone, task).with_changes(verbalizer=words)
    prompt = prompt_for(backbone)
    result = evaluate(model, prompt, task)
    values = 5 * model.scores(prompt, examples).softmax(-1)[:, 1].numpy()
    np.testing.assert_allclose(result.predictions, values, rtol=1e-5)
    theirs = stats.pearsonr(values, [e.label for e in examples])
    assert result.metric == "pearson" and result.majority is None
    assert result.value == pytest.approx(theirs.statistic, abs=1e-6)
    assert tuple(result.ci95) == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=1e-6)
    three = PromptedModel(
        backbone, "{text} {mask}", Verbalizer({"a": "bad", "b": "good", "c": "dull"})
    )
    with pytest.raises(LabError, match="give the verbalizer two poles"):
        evaluate(three, None, task)
