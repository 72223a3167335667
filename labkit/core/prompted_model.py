"""A prompted model: backbone, template and verbalizer put together, and its evaluation.

    task example ──template──▶ token ids and slots ──▶ vectors ──▶ frozen LM ──▶ label scores

The prompt is no part of it: any module whose ``forward()`` returns (P, D) virtual tokens can be
scored with it, so that many prompts share one model.

Usage::

    model = PromptedModel(backbone, Template("{soft}{text} It was {mask}"),
                          Verbalizer({"negative": "terrible", "positive": "great"}))
    model.scores(prompt, task.split("test"))    # (N, 2)
    evaluate(model, prompt, task)               # accuracy with its interval
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core import scoring, statistics
from labkit.core.backbones import Backbone
from labkit.core.devices import moved
from labkit.core.encoding import ExampleEncoder, check_template
from labkit.core.errors import LabError, first_line
from labkit.core.labels import Labels, cut_answers, cut_labels
from labkit.core.modes import evaluating
from labkit.core.sequences import Encoded
from labkit.core.sets import SET, Positions, require_one_block
from labkit.core.tasks import POLES, Example, Task
from labkit.core.templates import Template, Verbalizer

BOS_PLACES = ("text", "first")

Bias = Sequence[float] | Mapping[str, float]
"""Numbers to take from the classes' scores: in the order of the task's classes, or by name."""


class PromptedModel(nn.Module):
    """A backbone that answers with label words under a template.

    Args:
        bos: where the tokenizer's leading special token stands: ``text`` in front of the words, and
            so behind a leading block of virtual tokens (the place that PEFT gives it), or
            ``first`` in front of everything. Where the tokenizer adds none, ``first`` adds its BOS.
        sentinel: for seq2seq models: put T5's first sentinel before the label text in the target
            (Lester et al. 2021, section 3.2: span corruption + sentinel). Default: where the
            template has ``{mask}``, which stands for that sentinel in the input.
        max_length: positions to use, virtual tokens included; default: all that the backbone has.
        positions: False takes the positions of the virtual tokens away; with ``set`` the model
            reads them as a set, alike in every order, see
            :meth:`~labkit.core.backbones.Backbone.with_positions`.

    Raises:
        LabError: for a template that the readout can't take.
    """

    def __init__(
        self,
        backbone: Backbone,
        template: Template | str,
        verbalizer: Verbalizer,
        *,
        bos: str = "text",
        sentinel: bool | None = None,
        max_length: int | None = None,
        positions: Positions = True,
    ) -> None:
        super().__init__()
        if bos not in BOS_PLACES:
            raise LabError(f"bos={bos!r} is not a place; choose one of {', '.join(BOS_PLACES)}")
        self.backbone = backbone.with_positions(positions)
        self.positions = positions
        self.template = Template(template) if isinstance(template, str) else template
        self.verbalizer = verbalizer
        self.bos = bos
        self.sentinel = self.template.has_mask if sentinel is None else sentinel
        self.max_length = max_length or backbone.max_length
        check_template(self.template, backbone.readout)
        if positions == SET:
            require_one_block(self.template, backbone.readout)

    @classmethod
    def for_task(cls, backbone: Backbone, task: Task, *, soft: bool = True) -> PromptedModel:
        """The task's own template and label words for this readout, with or without ``{soft}``."""
        prompt = task.prompt_for(backbone.readout)
        template = Template(prompt.template)
        verbalizer = Verbalizer(prompt.verbalizer)
        return cls(backbone, template.with_soft() if soft else template, verbalizer)

    def with_changes(self, **changes: object) -> PromptedModel:
        """The same model but for what is named: any argument of the constructor."""
        kept: dict[str, Any] = {
            "backbone": self.backbone,
            "template": self.template,
            "verbalizer": self.verbalizer,
            "bos": self.bos,
            "sentinel": self.sentinel,
            "max_length": self.max_length,
            "positions": self.positions,
        }
        return PromptedModel(**(kept | changes))

    def without_positions(self) -> tuple[PromptedModel | None, LabError | None]:
        """The same model without positions of the virtual tokens, or why there is none."""
        if self.positions == SET:
            return None, LabError("virtual tokens that are read as a set have no positions to lose")
        try:
            return self.with_changes(positions=False), None
        except LabError as error:
            return None, error

    def layout(self) -> dict[str, object]:
        """All that decides a score besides the prompt and the example: the exact model, its
        precision, and how an example is laid out and read."""
        layout = {
            "backbone": self.backbone.name,
            "revision": self.backbone.revision,
            "dtype": str(self.backbone.dtype).removeprefix("torch."),
            "template": self.template.text,
            "verbalizer": str(self.verbalizer.words),
            "bos": self.bos,
            "sentinel": self.sentinel,
            "max_length": self.max_length,
            "positions": self.positions,
        }
        # a key of its own kind of model alone: what is stored of every other stays comparable
        return layout | {"side": self.backbone.side} if self.backbone.side else layout

    def view_of(self, task: Task) -> Task:
        """The task as this model's template sees it, see :meth:`Task.for_fields`."""
        return task.for_fields(self.template.fields)

    def scores(
        self,
        prompt: nn.Module | None,
        examples: Sequence[Example],
        candidates: Sequence[Sequence[str]] | None = None,
        progress: scoring.Progress | None = None,
    ) -> Tensor:
        """Label scores (N, C) in fp32, or (N, K) with ``candidates``; rows in the given order.

        Args:
            prompt: module returning (P, D), or None where the template has no virtual tokens.
            candidates: K answers per example, where the set of answers differs between examples.
        """
        with evaluating(self):
            vectors = self.fixed_vectors(prompt)
            if candidates is not None:
                return self._candidate_scores(vectors, examples, candidates)
            sequences = self.encode(examples, vectors)
            labels = self.labels()
            return scoring.score(self.backbone, sequences, vectors, labels, progress=progress)

    def encode(
        self,
        examples: Sequence[Example],
        vectors: Tensor | None,
        answers: Iterable[str] | None = None,
    ) -> list[Encoded]:
        """Examples as token ids and slots, with a slot for each row of ``vectors`` (P, D).

        Args:
            answers: what a causal model continues a text with, for which a long one leaves room;
                default: the label words.
        """
        length = 0 if vectors is None else len(vectors)
        longest = self.backbone.max_length - self._room_behind(answers)
        encoder = ExampleEncoder(
            self.backbone,
            self.template,
            length,
            bos=self.bos,
            max_length=min(self.max_length, longest),
        )
        return encoder.encode(examples)

    def _room_behind(self, answers: Iterable[str] | None) -> int:
        """Pieces of an answer that are read behind the text: all but the last."""
        if self.backbone.readout != "causal":
            return 0
        labels = self.labels() if answers is None else self.answers(answers)
        return max(len(pieces) for pieces in labels.words) - 1

    def vectors(self, prompt: nn.Module | None) -> Tensor | None:
        """The prompt's virtual tokens, checked against template and backbone: (P, D) or None.

        Raises:
            LabError: for a prompt without a place, a place without a prompt, another width, or
                numbers that are not finite.
        """
        if prompt is None:
            if self.template.has_soft:
                raise LabError(
                    f"template {self.template.text!r} has virtual tokens but no prompt was given; "
                    "give a prompt, or take the soft slots out of the template"
                )
            return None
        if not self.template.has_soft:
            raise LabError(
                f"template {self.template.text!r} has no place for the prompt's virtual tokens; "
                "add {soft}"
            )
        vectors = prompt()
        if vectors.ndim != 2 or vectors.shape[1] != self.backbone.hidden_size:
            raise LabError(
                f"the prompt has shape {tuple(vectors.shape)}, {self.backbone.name} takes rows of "
                f"width {self.backbone.hidden_size}; use a prompt made for this backbone"
            )
        if not torch.isfinite(vectors).all():
            raise LabError(
                "the prompt holds NaN or infinite numbers; train it again with a lower learning "
                "rate, or load an undamaged file"
            )
        return moved(vectors, self.backbone.device)

    def fixed_vectors(self, prompt: nn.Module | None) -> Tensor | None:
        """As :meth:`vectors`, as they are scored and saved: without gradient, and with the prompt
        in evaluation mode, in which nothing is dropped or sampled."""
        with torch.no_grad(), evaluating(prompt):
            vectors = self.vectors(prompt)
        # a soft prompt returns its parameter itself, which has its gradient in any mode
        return None if vectors is None else vectors.detach()

    def labels(self) -> Labels:
        """The verbalizer's words as pieces of this backbone's tokenizer."""
        words = self.verbalizer.words.values()
        return cut_labels(self.backbone, self.template, words, sentinel=self.sentinel)

    def _candidate_scores(
        self,
        vectors: Tensor | None,
        examples: Sequence[Example],
        candidates: Sequence[Sequence[str]],
    ) -> Tensor:
        sizes = {len(answers) for answers in candidates}
        if len(candidates) != len(examples) or len(sizes) != 1 or 0 in sizes:
            raise LabError(
                f"candidates: {len(candidates)} lists of {sorted(sizes)} answers for "
                f"{len(examples)} examples; give every example a list of the same length"
            )
        sequences = self.encode(examples, vectors, dict.fromkeys(chain(*candidates)))
        rows_of: dict[tuple[str, ...], list[int]] = {}
        for row, answers in enumerate(candidates):
            rows_of.setdefault(tuple(answers), []).append(row)
        result = torch.empty(len(examples), sizes.pop())
        for answers, rows in rows_of.items():
            labels = self.answers(answers)
            chosen = [sequences[row] for row in rows]
            result[rows] = scoring.score(self.backbone, chosen, vectors, labels)
        return result

    def answers(self, answers: Iterable[str]) -> Labels:
        """Any answers as pieces of this backbone's tokenizer, each a class of its own."""
        return cut_answers(self.backbone, self.template, answers, sentinel=self.sentinel)


@dataclass(frozen=True)
class Evaluation:
    """What one prompt does on one split.

    Attributes:
        metric: ``accuracy`` or ``pearson``; value: on this split; ci95: its 95 % interval
            (Wilson's for accuracy, Fisher's z for Pearson's r).
        majority: share of the largest class, what a blind guess reaches (accuracy only).
        n: examples; shortened: those whose text was cut to fit the model.
        predictions: (N,) class indices, or values on the task's scale for regression.
        targets: (N,) the true ones; scores: (N, C) label scores, calibration included.
        seconds: time for encoding and scoring.
    """

    metric: str
    value: float
    ci95: statistics.Interval
    majority: float | None
    n: int
    shortened: int
    predictions: np.ndarray
    targets: np.ndarray
    scores: np.ndarray
    seconds: float

    @property
    def correct(self) -> np.ndarray:
        """(N,) whether each prediction is right (classification)."""
        return self.predictions == self.targets

    def __str__(self) -> str:
        low, high = self.ci95
        against = "" if self.majority is None else f", majority class {self.majority:.3f}"
        return f"{self.metric} {self.value:.3f} [{low:.3f}, {high:.3f}] (n = {self.n}{against})"


def evaluate(
    model: PromptedModel,
    prompt: nn.Module | None,
    task: Task,
    split: str = "test",
    *,
    limit: int | None = None,
    bias: Bias | None = None,
    progress: scoring.Progress | None = None,
) -> Evaluation:
    """Score a prompt on a split of a task.

    Args:
        limit: score a seeded sample of that many examples, always the same one.
        bias: (C,) number taken from each class's score, in the order of the task's classes or by
            their names: calibration, see :func:`labkit.hard_prompt.contextual_bias`.

    Raises:
        LabError: for an unknown split, a verbalizer that doesn't name the task's classes, or a bias
            that is no number for each of them.
    """
    task = model.view_of(task)
    model = for_classes(model, task)
    taken = _taken(bias, model.verbalizer.labels)
    started = time.perf_counter()
    vectors = model.fixed_vectors(prompt)
    examples = _sample(task, split, limit)
    sequences = model.encode(examples, vectors)
    with evaluating(model):
        scored = scoring.score(
            model.backbone, sequences, vectors, model.labels(), progress=progress
        )
    scores = scored.numpy() - taken
    seconds = time.perf_counter() - started
    targets = np.array([example.label for example in examples])
    if task.kind == "regression":
        predictions = interpolate(scores, task.range)
        value = statistics.pearson(predictions, targets)
        interval, majority = statistics.pearson_interval(predictions, targets), None
    else:
        predictions = scores.argmax(-1)
        value = float((predictions == targets).mean())
        interval = statistics.accuracy_interval(predictions == targets)
        majority = float(np.bincount(targets).max() / len(targets))
    return Evaluation(
        metric=task.metric,
        value=value,
        ci95=interval,
        majority=majority,
        n=len(examples),
        shortened=sum(sequence.shortened for sequence in sequences),
        predictions=predictions,
        targets=targets,
        scores=scores,
        seconds=seconds,
    )


def _taken(bias: Bias | None, labels: tuple[str, ...]) -> np.ndarray:
    """The bias of each class, in the order of ``labels``: (C,)."""
    if bias is None:
        return np.zeros(len(labels), dtype=np.float32)
    if isinstance(bias, Mapping):
        if set(bias) != set(labels):
            raise LabError(
                f"bias has numbers for {sorted(bias)}, the task has the classes {sorted(labels)}; "
                "name exactly these"
            )
        bias = [bias[label] for label in labels]
    try:
        taken = np.asarray(bias, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise LabError(f"bias is no list of numbers ({first_line(error)}); {_GIVE}") from error
    if taken.shape != (len(labels),):
        raise LabError(f"bias has the shape {taken.shape} for {len(labels)} classes; {_GIVE}")
    if not np.isfinite(taken).all():
        raise LabError(f"bias holds NaN or infinite numbers ({taken.tolist()}); {_GIVE}")
    return taken


_GIVE = "give one finite number for each class, as contextual_bias does"


def require_scorable(
    model: PromptedModel,
    prompt: nn.Module | None,
    task: Task,
    split: str = "test",
    *,
    limit: int | None = None,
) -> None:
    """Raise now what :func:`evaluate` would raise before it scores, after hours of training say.

    Raises:
        LabError: as there.
    """
    task = model.view_of(task)
    model = for_classes(model, task)
    model.labels()
    model.encode(_sample(task, split, limit), model.fixed_vectors(prompt))


def _sample(task: Task, split: str, limit: int | None) -> Sequence[Example]:
    return task.split(split) if limit is None else task.take(split, limit, seed=0)


def interpolate(scores: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Two poles' scores (N, 2) as values between ``limits``: low + (high − low) · p(high pole)."""
    low, high = limits
    with np.errstate(over="ignore"):  # poles far apart: 1 / (1 + ∞) is the low end, as it should be
        return low + (high - low) / (1.0 + np.exp(scores[:, 0] - scores[:, 1]))


def for_classes(model: PromptedModel, task: Task) -> PromptedModel:
    """The model with its label words in the order of the task's classes, or of the two poles.

    Raises:
        LabError: for a verbalizer that names others.
    """
    labels = POLES if task.kind == "regression" else task.labels
    if model.verbalizer.labels == labels:
        return model
    if task.kind == "regression" and set(model.verbalizer.labels) != set(POLES):
        raise LabError(
            f"task {task.name!r} is a regression, and the verbalizer has words for "
            f"{', '.join(model.verbalizer.labels)}; give the verbalizer two poles, named "
            f"{' and '.join(POLES)}, so that it is known which of them raises a value"
        )
    return model.with_changes(verbalizer=model.verbalizer.reordered(labels))
