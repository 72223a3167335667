"""Context-aware prompts: few examples, written out as virtual tokens and tuned a little.

In-context learning puts labelled examples in front of the text and trains nothing; prompt tuning
trains vectors that begin nowhere. This is between the two: the prompt *begins* as the embedded
demonstrations, texts, template and labels, and each row may leave its word by a small distance.
The labels' rows stay where they are: what is tuned is how the demonstrations read, not what they
are said to be.

    prompt = ContextPrompt(model, demonstrations(task, 4, seed=0))
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

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example, Task
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

    Attributes:
        ids: (P,) the pieces that the rows begin on; fixed: (P,) which of them are a label's.

    Raises:
        LabError: for no examples, or a negative radius.
    """

    def __init__(
        self, model: PromptedModel, examples: Sequence[Example], radius: float = RADIUS
    ) -> None:
        if not examples or radius < 0:
            raise LabError(
                f"{len(examples)} demonstrations within a radius of {radius}: a context-aware "
                "prompt takes at least one, and a radius of at least 0"
            )
        written = [part for example in examples for part in _written(model, example)]
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


def _written(model: PromptedModel, example: Example) -> list[tuple[torch.Tensor, bool]]:
    """The pieces of a demonstration, and which of them are its label's."""
    label = model.verbalizer.labels[int(example.label)]
    answer = model.verbalizer.words[label][0]
    template = model.template.without_soft()
    parts: list[tuple[torch.Tensor, bool]] = []
    line = ""
    for part in template.parts:
        if isinstance(part, Words):
            line += part.text
        elif isinstance(part, Field):
            line += _short(model, example.fields.get(part.name, example.text))
        elif isinstance(part, Mask):
            parts.append((pieces(model.backbone, line.removesuffix(" ")), False))
            parts.append((pieces(model.backbone, f" {answer}"), True))
            line = ""
    if line.strip():
        parts.append((pieces(model.backbone, line), False))
    if not template.has_mask:
        parts.append((pieces(model.backbone, f" {answer}"), True))
    return [*parts, (pieces(model.backbone, "\n"), False)]


def _short(model: PromptedModel, text: str) -> str:
    ids = pieces(model.backbone, text)
    if len(ids) <= LONGEST:
        return text
    return str(model.backbone.tokenizer.decode(ids[:LONGEST].tolist()))
