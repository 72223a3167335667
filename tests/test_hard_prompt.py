"""Hard prompts: the grid against its cells one by one, calibration, and examples in the prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Example
from labkit.core.templates import Template, Verbalizer
from labkit.hard_prompt import (
    CALIBRATIONS,
    CONTENT_FREE,
    Cell,
    Grid,
    contextual_bias,
    score_grid,
    sentiment_grid,
    with_examples,
)

TEMPLATES = {
    "bert": ("{text} It was {mask}.", "{mask}: {text}"),
    "gpt2": ("{text} It was {mask}", "Review: {text}\nSentiment:{mask}"),
    "llama": ("{text} It was {mask}", "Review: {text}\nSentiment:{mask}"),
    "t5": ("{text}", "it was {text}"),
    "bert-encoder": ("{text}", "Review: {text}"),
}
VERBALIZERS = {
    "one word": Verbalizer({"negative": "terrible", "positive": "great"}),
    "of pieces": Verbalizer({"negative": "maddening", "positive": "marvellous"}),
    "several": Verbalizer({"positive": ("great", "good"), "negative": ("bad", "dull", "slow")}),
}


def grid_of(backbone, family, task, **settings) -> Grid:
    templates = {text: Template(text) for text in TEMPLATES[family]}
    return score_grid(backbone, task, templates, VERBALIZERS, **settings)


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_grid_is_each_of_its_cells_evaluated_alone(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    grid = grid_of(backbone, family, tiny_task, split="test")
    assert grid.templates == list(TEMPLATES[family]) and grid.words == list(VERBALIZERS)
    assert len(grid.cells()) == 2 * 3 * 3
    value, low, high = grid.accuracy()
    for row, template in enumerate(grid.templates):
        for column, words in enumerate(grid.words):
            model = PromptedModel(backbone, template, VERBALIZERS[words])
            alone = evaluate(model, None, tiny_task)
            np.testing.assert_allclose(
                grid.scores[template, words], alone.scores, rtol=1e-5, atol=1e-5
            )
            assert value[row, column] == alone.value
            assert (low[row, column], high[row, column]) == pytest.approx(tuple(alone.ci95))
            by_name = contextual_bias(model)
            np.testing.assert_allclose(
                grid.bias(Cell(template, words, "contextual")),
                [by_name[label] for label in tiny_task.labels],
                rtol=1e-5,
                atol=1e-5,
            )


def test_the_grid_takes_the_same_sample_as_an_evaluation(tiny_backbone, tiny_task):
    backbone = tiny_backbone("gpt2")
    grid = grid_of(backbone, "gpt2", tiny_task, split="train", limit=7)
    template = grid.templates[0]
    model = PromptedModel(backbone, template, VERBALIZERS["one word"])
    alone = evaluate(model, None, tiny_task, "train", limit=7)
    np.testing.assert_array_equal(grid.targets, alone.targets)
    np.testing.assert_allclose(grid.scores[template, "one word"], alone.scores, atol=1e-5)


def test_a_grid_counts_the_same_pieces_once_as_an_evaluation_does(tiny_backbone, tiny_task):
    backbone, line = tiny_backbone("bert"), "{text} It was {mask}."
    words = {
        "small": Verbalizer({"negative": ("bad", "dull"), "positive": "good"}),
        "both": Verbalizer({"negative": ("Bad", "bad", "dull"), "positive": ("Good", "good")}),
    }
    grid = score_grid(backbone, tiny_task, {"one": Template(line)}, words, split="test")
    np.testing.assert_array_equal(grid.scores["one", "both"], grid.scores["one", "small"])
    alone = evaluate(PromptedModel(backbone, line, words["both"]), None, tiny_task)
    np.testing.assert_allclose(grid.scores["one", "both"], alone.scores, rtol=1e-5, atol=1e-5)
    alike = {"alike": Verbalizer({"negative": "Good", "positive": "good"})}
    with pytest.raises(LabError, match="'Good' and 'good' of two classes"):
        score_grid(backbone, tiny_task, {"one": Template(line)}, alike, split="test")


def test_words_for_other_classes_are_refused(tiny_backbone, tiny_task):
    with pytest.raises(LabError, match="name exactly these"):
        score_grid(
            tiny_backbone("gpt2"),
            tiny_task,
            {"one": Template("{text} {mask}")},
            {"two": Verbalizer({"bad": "bad", "good": "good"})},
        )


# ---- calibration ----


@pytest.mark.parametrize("family", TEMPLATES)
def test_calibrations_take_off_what_they_say(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    grid = grid_of(backbone, family, tiny_task)
    for cell in grid.cells():
        key, bias = (cell.template, cell.words), grid.bias(cell)
        if cell.calibration == "none":
            assert (bias == 0).all()
        elif cell.calibration == "batch":  # no class is preferred on the whole
            np.testing.assert_allclose((grid.scores[key] - bias).mean(0), 0, atol=1e-4)
        else:  # nor for a text that says nothing
            verbalizer = VERBALIZERS[cell.words].reordered(tiny_task.labels)
            model = PromptedModel(backbone, cell.template, verbalizer)
            empty = [Example(str(i), {"text": text}, 0) for i, text in enumerate(CONTENT_FREE)]
            calibrated = model.scores(None, empty).numpy() - bias
            np.testing.assert_allclose(calibrated.mean(0), 0, atol=1e-4)
        # calibration in the grid is what `evaluate` does with this bias
        model = PromptedModel(backbone, cell.template, VERBALIZERS[cell.words])
        result = evaluate(model, None, tiny_task, "validation", bias=bias)
        assert grid.correct(cell).mean() == result.value


@pytest.mark.parametrize("labels", [("negative", "positive"), ("positive", "negative")])
def test_a_contextual_bias_goes_to_its_own_class_in_any_order_of_the_words(
    tiny_backbone, tiny_task, labels
):
    backbone, words = tiny_backbone("gpt2"), VERBALIZERS["one word"]
    model = PromptedModel(backbone, "{text} It was {mask}", words.reordered(labels))
    seen = evaluate(model, None, tiny_task, bias=contextual_bias(model))
    empty = [Example(str(i), {"text": text}, 0) for i, text in enumerate(CONTENT_FREE)]
    for column, label in enumerate(tiny_task.labels):
        alone = [[words.words[label][0]]]
        plain = model.scores(None, tiny_task.split("test"), alone * 12)[:, 0].numpy()
        taken = model.scores(None, empty, alone * len(empty)).mean().item()
        np.testing.assert_allclose(seen.scores[:, column], plain - taken, atol=1e-4)


def hand_made() -> Grid:
    """Three texts; the class 1 is preferred by 2 throughout, and by 1 for no text at all."""
    scores = np.array([[0.0, 3.0], [0.0, 1.5], [0.0, 1.5]])
    return Grid({("t", "w"): scores}, {("t", "w"): np.array([0.0, 1.0])}, np.array([1, 0, 0]))


@pytest.mark.parametrize(
    ("calibration", "accuracy"), [("none", 1 / 3), ("contextual", 1 / 3), ("batch", 1)]
)
def test_calibration_by_hand(calibration, accuracy):
    grid = hand_made()
    assert grid.correct(Cell("t", "w", calibration)).mean() == pytest.approx(accuracy)
    assert grid.accuracy(calibration)[0].tolist() == [[pytest.approx(accuracy)]]


def test_the_best_cell_is_the_first_of_the_most_accurate():
    grid = hand_made()
    assert grid.best() == Cell("t", "w", "batch")
    assert grid.best(["none", "contextual"]) == Cell("t", "w", "none")
    same = replace(grid, scores={**grid.scores, ("t", "v"): grid.scores["t", "w"]})
    same = replace(same, content_free=dict.fromkeys(same.scores, np.zeros(2)))
    assert same.best() == Cell("t", "w", "batch")


def test_an_unknown_calibration_is_refused():
    with pytest.raises(LabError, match=f"choose one of {', '.join(CALIBRATIONS)}"):
        hand_made().bias(Cell("t", "w", "domain"))


# ---- examples in the prompt ----


def test_solved_examples_stand_in_front_word_for_word():
    template = Template("Review: {text}\nSentiment: {mask}")
    verbalizer = Verbalizer({"negative": ("bad", "dull"), "positive": "good"})
    shots = [Example("1", {"text": "a {great} film"}, 1), Example("2", {"text": "slow"}, 0)]
    solved = with_examples(template, verbalizer, shots, ("negative", "positive"))
    assert solved.without_soft() == solved and solved.fields == ("text",)
    filled = "".join(getattr(part, "text", "<slot>") for part in solved.parts)
    assert filled == (
        "Review: a {great} film\nSentiment: good\n\n"
        "Review: slow\nSentiment: bad\n\n"
        "Review: <slot>\nSentiment: <slot>"
    )


def test_solved_examples_of_two_texts_follow_the_tasks_order_of_classes():
    shots = [Example("1", {"a": "x", "b": "y"}, 0)]
    solved = with_examples(
        Template("{b}? {mask}, {a}"), Verbalizer({"no": "No", "yes": "Yes"}), shots, ("yes", "no"),
        between=" | ",
    )  # fmt: skip
    assert solved == Template("y? Yes, x | {b}? {mask}, {a}")


def test_solved_examples_score_as_the_same_text_written_out(tiny_backbone, tiny_task):
    backbone, verbalizer = tiny_backbone("gpt2"), VERBALIZERS["one word"]
    shots = tiny_task.split("train")[:2]
    solved = with_examples(
        Template("{text} It was {mask}"), verbalizer, shots, tiny_task.labels, between=". "
    )
    written = "".join(
        f"{e.text} It was {verbalizer.words[tiny_task.labels[e.label]][0]}. " for e in shots
    )
    examples = tiny_task.split("test")
    longer = [Example(e.id, {"text": written + e.text}, e.label) for e in examples]
    ours = PromptedModel(backbone, solved, verbalizer).scores(None, examples)
    plain = PromptedModel(backbone, "{text} It was {mask}", verbalizer).scores(None, longer)
    np.testing.assert_allclose(ours, plain, atol=1e-5)


# ---- the course's grid ----


@pytest.mark.parametrize("readout", ["mlm", "causal", "seq2seq", "encoder"])
def test_the_courses_grid_fits_its_readout(tiny_backbone, tiny_task, readout):
    families = {"mlm": "bert", "causal": "llama", "seq2seq": "t5", "encoder": "bert-encoder"}
    backbone = tiny_backbone(families[readout])
    templates, verbalizers = sentiment_grid(readout, tiny_task)
    assert len(templates) >= 3 and len(verbalizers) >= 4
    for template in templates.values():
        for verbalizer in verbalizers.values():
            assert set(verbalizer.labels) == set(tiny_task.labels)
            PromptedModel(backbone, template, verbalizer)  # refuses what the readout can't take


def test_the_shots_are_short_training_examples_one_of_each_class(tiny_task):
    long = Example("long", {"text": "a great film " * 20}, 1)
    task = replace(tiny_task, splits={"train": (long, *tiny_task.split("train"))})
    seen = set()
    for seed in range(10):
        templates, _ = sentiment_grid("causal", task, seed=seed)
        (solved,) = (t for name, t in templates.items() if name.startswith("2 examples"))
        first, second, asked = solved.text.split("\n\n")
        assert asked == "Review: {text}\nSentiment: {mask}"
        for shot, label in ((first, 0), (second, 1)):
            text, answer = shot.removeprefix("Review: ").split("\nSentiment: ")
            assert answer == task.labels[label]
            assert (text, label) in {(e.text, e.label) for e in tiny_task.split("train")}
        seen.add(solved.text)
    assert len(seen) > 1  # the seed chooses


def test_a_task_without_short_examples_is_refused(tiny_task):
    long = tuple(Example(str(i), {"text": "a great film " * 20}, i % 2) for i in range(4))
    with pytest.raises(LabError, match="120 characters"):
        sentiment_grid("causal", replace(tiny_task, splits={"train": long}))
