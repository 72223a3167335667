"""Context-aware prompts: few examples, written out as virtual tokens and tuned a little.

In-context learning puts labelled examples in front of the text and trains nothing; prompt tuning
trains vectors that begin nowhere. This is between the two: the prompt *begins* as the embedded
demonstrations, texts, template and labels, and each row may leave its word by a small distance.
The labels' rows stay where they are: what is tuned is how the demonstrations read, not what they
are said to be.

    prompt = ContextPrompt(model, demonstrations(task, 4, seed=0), task=task)
    fit(model, prompt, task)

Blau et al. project every update back into a ball around the word; here the ball is part of the
prompt, its size a share of the word's length, because embeddings of models differ in scale. They
also let the labels of the demonstrations take part in the loss, which is left out here.

Source: Blau et al. 2024, "Context-aware prompt tuning: advancing in-context learning with
adversarial methods".
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from labkit.core.encoding import texts_of
from labkit.core.errors import LabError
from labkit.core.pieces import beginning
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Example, Task, classes_of
from labkit.core.templates import Field, Mask, Words
from labkit.soft_prompt.tethered import TetheredPrompt
from labkit.soft_prompt.vocabulary import pieces, word_vectors

RADIUS = 0.1
"""How far a row may go from its word, as a share of the word's length."""

LONGEST = 24
"""Pieces of a demonstration's text, the rest of it is cut away: every piece is a virtual token."""


class ContextPrompt(TetheredPrompt):
    """A prompt that begins as demonstrations, one behind the other.

    Args:
        model: as the prompt will be used: its template, without virtual tokens, is what the
            demonstrations are written in, and its label words are their answers.
        examples: the demonstrations, in their order.
        radius: share of a word's length that its row may go; 0 leaves plain demonstrations.
        task: whose classes the examples' numbers mean; default: the model's label words stand in
            the order of those classes, as they do in ``PromptedModel.for_task(backbone, task)``.

    Attributes:
        ids: (P,) the pieces that the rows begin on; fixed: (P,) which of them are a label's.

    Raises:
        LabError: for no examples, a negative radius, an example whose number is of no class, or
            without the texts that the template asks for.
    """

    def __init__(
        self,
        model: PromptedModel,
        examples: Sequence[Example],
        radius: float = RADIUS,
        *,
        task: Task | None = None,
    ) -> None:
        if not examples or radius < 0:
            raise LabError(
                f"{len(examples)} demonstrations within a radius of {radius}: a context-aware "
                "prompt takes at least one, and a radius of at least 0"
            )
        model = model if task is None else for_classes(model, task)
        answers = zip(examples, _answers(model, examples), strict=True)
        written = [part for example, word in answers for part in _written(model, example, word)]
        ids = torch.cat([part for part, _ in written])
        words = word_vectors(model.backbone, ids)
        fixed = torch.cat([torch.full((len(part),), of_label) for part, of_label in written])
        super().__init__(words, radius * words.norm(dim=-1) * ~fixed)
        self.ids, self.fixed = ids, fixed


def demonstrations(task: Task, count: int, seed: int) -> list[Example]:
    """``count`` training examples, the classes in turn while they have any.

    Raises:
        LabError: for a task without classes.
    """
    if task.kind == "regression":
        raise LabError(
            f"{task.name} asks for numbers, and a demonstration shows a class; take another task"
        )
    order = torch.randperm(len(task.split("train")), generator=torch.Generator().manual_seed(seed))
    of_class: dict[float, list[Example]] = {}
    for row in order.tolist():
        example = task.split("train")[row]
        of_class.setdefault(example.label, []).append(example)
    turns = itertools.zip_longest(*(of_class[label] for label in sorted(of_class)))
    chosen = [example for turn in turns for example in turn if example is not None]
    return chosen[:count]


def _answers(model: PromptedModel, examples: Sequence[Example]) -> list[str]:
    """The first label word of each example's class."""
    words = [options[0] for options in model.verbalizer.words.values()]
    classes = classes_of(examples)
    for example, number in zip(examples, classes, strict=True):
        if not 0 <= number < len(words):
            raise LabError(
                f"example {example.id!r} is of class {number}, and the model has label words for "
                f"classes 0 to {len(words) - 1}; give examples of its own task"
            )
    return [words[number] for number in classes]


def _written(
    model: PromptedModel, example: Example, answer: str
) -> list[tuple[torch.Tensor, bool]]:
    """The pieces of a demonstration, and which of them are its label's."""
    template = model.template.without_soft()
    texts = texts_of(template, example)
    parts: list[tuple[torch.Tensor, bool]] = []
    line = ""
    for part in template.parts:
        if isinstance(part, Words):
            line += part.text
        elif isinstance(part, Field):
            line += beginning(model.backbone.tokenizer, texts[part.name], LONGEST)
        elif isinstance(part, Mask):
            parts.append((pieces(model.backbone, line.removesuffix(" ")), False))
            parts.append((pieces(model.backbone, f" {answer}"), True))
            line = ""
    if line.strip():
        parts.append((pieces(model.backbone, line), False))
    if not template.has_mask:
        parts.append((pieces(model.backbone, f" {answer}"), True))
    return [*parts, (pieces(model.backbone, "\n"), False)]
