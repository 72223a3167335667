"""Hard prompts: words in front of or behind the text, and nothing trained.

The baseline that every soft prompt has to beat, and it deserves care: how a hard prompt scores
depends on its wording, on the label words, on examples put in front, and on whether the model's
preference for one answer has been taken out. This module holds the grid of templates and label
words, examples in the prompt, and two calibrations:

- *contextual* (Zhao et al. 2021): take off the scores that the model gives to a text without
  content ("N/A");
- *batch* (Zhou et al. 2024): take off the mean scores over texts whose labels nobody looks at.

Usage::

    grid = score_grid(backbone, task, templates, verbalizers, split="validation", limit=300)
    cell = grid.best()                           # chosen on validation ...
    model = PromptedModel(backbone, templates[cell.template], verbalizers[cell.words])
    evaluate(model, None, task, bias=grid.bias(cell))    # ... reported on test
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from labkit.core import statistics
from labkit.core.backbones import Backbone
from labkit.core.encoding import texts_of
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example, Task
from labkit.core.templates import Field, Mask, Template, Verbalizer, Words, escape

CONTENT_FREE = ("N/A", "[MASK]", "the")
CALIBRATIONS = ("none", "contextual", "batch")


class Cell(NamedTuple):
    """One hard prompt: a template, label words and a calibration, by name."""

    template: str
    words: str
    calibration: str = "none"


@dataclass(frozen=True)
class Grid:
    """Scores of every template with every set of label words on the same examples.

    Attributes:
        scores: (template, words) → (N, C) label scores, uncalibrated.
        content_free: (template, words) → (C,) mean scores of texts without content.
        targets: (N,) true classes.
    """

    scores: dict[tuple[str, str], np.ndarray]
    content_free: dict[tuple[str, str], np.ndarray]
    targets: np.ndarray

    @property
    def templates(self) -> list[str]:
        return list(dict.fromkeys(template for template, _ in self.scores))

    @property
    def words(self) -> list[str]:
        return list(dict.fromkeys(words for _, words in self.scores))

    def cells(self, calibrations: Sequence[str] = CALIBRATIONS) -> list[Cell]:
        return [Cell(*key, calibration) for key in self.scores for calibration in calibrations]

    def bias(self, cell: Cell) -> np.ndarray:
        """What the cell's calibration takes from each class's score: (C,), in the task's order."""
        key = cell.template, cell.words
        if cell.calibration == "none":
            return np.zeros_like(self.content_free[key])
        if cell.calibration == "contextual":
            return self.content_free[key]
        if cell.calibration == "batch":
            return self.scores[key].mean(0)
        raise LabError(
            f"calibration {cell.calibration!r} is unknown; choose one of {', '.join(CALIBRATIONS)}"
        )

    def correct(self, cell: Cell) -> np.ndarray:
        """(N,) whether each prediction of the cell is right."""
        scores = self.scores[cell.template, cell.words] - self.bias(cell)
        return scores.argmax(-1) == self.targets

    def accuracy(self, calibration: str = "none") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Accuracies and the ends of their 95 % intervals, each (templates, label words)."""
        shape = len(self.templates), len(self.words)
        rows = []
        for cell in self.cells([calibration]):
            correct = self.correct(cell)
            rows.append((correct.mean(), *statistics.accuracy_interval(correct)))
        value, low, high = np.array(rows).T.reshape(3, *shape)
        return value, low, high

    def best(self, calibrations: Sequence[str] = CALIBRATIONS) -> Cell:
        """The cell with the highest accuracy; the first of those that tie."""
        return max(self.cells(calibrations), key=lambda cell: self.correct(cell).mean())


def score_grid(
    backbone: Backbone,
    task: Task,
    templates: Mapping[str, Template],
    verbalizers: Mapping[str, Verbalizer],
    split: str = "validation",
    limit: int | None = None,
) -> Grid:
    """Score every template with every set of label words.

    All label words of a template are read from one pass, so a grid costs as much as its templates.

    Args:
        templates, verbalizers: by the name they have in the grid; the grid is theirs in full.
        limit: score a seeded sample of that many examples.
    """
    used = dict.fromkeys(name for template in templates.values() for name in template.fields)
    task = task.for_fields(used)
    examples = task.split(split) if limit is None else task.take(split, limit, seed=0)
    scores: dict[tuple[str, str], np.ndarray] = {}
    content_free: dict[tuple[str, str], np.ndarray] = {}
    for name, template in templates.items():
        both = _score_all(backbone, template, verbalizers, task, examples)
        empty = _score_all(backbone, template, verbalizers, task, _content_free(template))
        for words in verbalizers:
            scores[name, words] = both[words]
            content_free[name, words] = empty[words].mean(0)
    return Grid(scores, content_free, np.array([example.label for example in examples]))


def sentiment_grid(
    readout: str, task: Task, seed: int = 0
) -> tuple[dict[str, Template], dict[str, Verbalizer]]:
    """The course's grid for a sentiment task, fixed beforehand: templates and label words by name.

    Args:
        readout: causal models also get the chat form and examples in the prompt; encoders, which
            have no answer slot, compare the text with label texts.
        seed: which training examples the prompt with examples holds.
    """
    if readout == "encoder":
        return _named(ENCODER_TEMPLATES), _verbalizers(ENCODER_TEXTS)
    if readout != "causal":
        return _named(CLOZES), _verbalizers(SENTIMENT_WORDS)
    verbalizers = _verbalizers(SENTIMENT_WORDS)
    review = Template(REVIEW)
    first = verbalizers["negative / positive"]
    examples = _short_shots(task.for_fields(review.fields), seed)
    solved = with_examples(review, first, examples, task.labels)
    return {**_named(CAUSAL_TEMPLATES), f"{SHOTS} examples, then the review": solved}, verbalizers


SHOTS = 2
"""Solved examples in the prompt of the grid that holds some."""

REVIEW = "Review: {text}\nSentiment: {mask}"
CAUSAL_TEMPLATES = (
    "{text} It was {mask}",
    "{text} All in all, it was {mask}",
    REVIEW,
    "{text}\nQuestion: Is this review positive or negative?\nAnswer: {mask}",
    "<|im_start|>user\nIs this movie review positive or negative? Answer with one word.\n{text}"
    "<|im_end|>\n<|im_start|>assistant\n{mask}",
)
CLOZES = ("{text} It was {mask}.", "{text} All in all, it was {mask}.", "It was {mask}. {text}")
SENTIMENT_WORDS = (
    ("negative", "positive"),
    ("terrible", "great"),
    ("bad", "good"),
    ("Negative", "Positive"),
    (
        ("terrible", "bad", "awful", "boring", "dull"),
        ("great", "good", "wonderful", "fun", "moving"),
    ),
)
ENCODER_TEMPLATES = (
    "{text}",
    "Review: {text}",
    "The critic says: {text}",
    "{text} It was a movie.",
)
ENCODER_TEXTS = (
    ("a negative movie review", "a positive movie review"),
    ("negative", "positive"),
    ("It was terrible.", "It was great."),
    ("a bad film", "a good film"),
)


def _named(templates: Sequence[str]) -> dict[str, Template]:
    """Templates under short names: the chat form's markup would not fit beside a figure."""
    return {"chat form" if text.startswith("<|") else text: Template(text) for text in templates}


def _verbalizers(pairs: Sequence[tuple]) -> dict[str, Verbalizer]:
    named = {}
    for negative, positive in pairs:
        single = isinstance(negative, str)
        name = f"{negative} / {positive}" if single else f"{len(negative)} words each"
        named[name] = Verbalizer({"negative": negative, "positive": positive})
    return named


def _short_shots(task: Task, seed: int) -> list[Example]:
    """:data:`SHOTS` short training examples, the classes in turn."""
    order = np.random.default_rng(seed).permutation(len(task.split("train")))
    pool = [task.split("train")[i] for i in order]
    by_class = [[e for e in pool if e.label == label and len(e.text) <= 120] for label in range(2)]
    if min(map(len, by_class)) < -(-SHOTS // 2):
        raise LabError(
            f"task {task.name!r} has too few training examples of at most 120 characters to put "
            f"{SHOTS} into the prompt; take another task"
        )
    return [by_class[i % 2][i // 2] for i in range(SHOTS)]


def contextual_bias(model: PromptedModel) -> dict[str, float]:
    """Mean score of each class, by name, for texts without content, to be taken from every score.

    Zhao et al. 2021, section 5, as a shift of log-probabilities. They use "N/A", "[MASK]" and the
    empty string; here a word without content stands for the last, which is no text. By name,
    because the model's label words may stand in another order than the task's classes.
    """
    means = model.scores(None, _content_free(model.template)).mean(0)
    return dict(zip(model.verbalizer.labels, means.tolist(), strict=True))


def with_examples(
    template: Template,
    verbalizer: Verbalizer,
    shots: Sequence[Example],
    labels: Sequence[str],
    between: str = "\n\n",
) -> Template:
    """The template with solved examples in front (in-context learning, Brown et al. 2020).

    Args:
        shots: the examples; labels: the task's class names in order.
        between: what separates two examples.
    """
    solved = [_solved(template, verbalizer, shot, labels) + between for shot in shots]
    return Template(escape("".join(solved)) + template.text)


def _solved(
    template: Template, verbalizer: Verbalizer, shot: Example, labels: Sequence[str]
) -> str:
    text, fields = "", texts_of(template, shot)
    for part in template.parts:
        if isinstance(part, Words):
            text += part.text
        elif isinstance(part, Field):
            text += fields[part.name]
        elif isinstance(part, Mask):
            text += verbalizer.words[labels[int(shot.label)]][0]
    return text


def _content_free(template: Template) -> list[Example]:
    return [
        Example(id=f"content-free {text}", fields=dict.fromkeys(template.fields, text), label=0)
        for text in CONTENT_FREE
    ]


def _score_all(
    backbone: Backbone,
    template: Template,
    verbalizers: Mapping[str, Verbalizer],
    task: Task,
    examples: Sequence[Example],
) -> dict[str, np.ndarray]:
    """Label scores (N, C) of each verbalizer, all read from one pass over the examples."""
    ordered = {name: verbalizer.reordered(task.labels) for name, verbalizer in verbalizers.items()}
    every = sorted({w for v in ordered.values() for options in v.words.values() for w in options})
    model = PromptedModel(backbone, template, next(iter(ordered.values())))
    labels = {name: model.with_changes(verbalizer=v).labels() for name, v in ordered.items()}
    scores = model.scores(None, examples, candidates=[every] * len(examples))  # (N, all words)
    column = {pieces: index for index, pieces in enumerate(model.answers(every).words)}
    result = {}
    for name, (words, classes) in labels.items():
        of_classes = [
            backbone.combine(scores[:, [column[words[word]] for word in own]]) for own in classes
        ]
        result[name] = torch.stack(of_classes, dim=-1).numpy()
    return result
