"""What a task is: examples with labels, in splits, and the words to ask with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labkit.core.errors import LabError
from labkit.core.templates import Template

SPLITS = ("train", "validation", "test")
POLES = ("low", "high")
"""The two ends of a regression, as its label words name them."""


@dataclass(frozen=True)
class Example:
    """One labelled example: texts by field name, and a class index or a value."""

    id: str
    fields: Mapping[str, str]
    label: int | float

    @property
    def text(self) -> str:
        """The text of the example: the field of that name, or the only one."""
        if "text" in self.fields:
            return self.fields["text"]
        if len(self.fields) != 1:
            raise LabError(
                f"example {self.id!r} has several texts ({', '.join(self.fields)}); name one of "
                "them instead of {text}"
            )
        return next(iter(self.fields.values()))


def classes_of(examples: Sequence[Example]) -> list[int]:
    """The right class of each example.

    Raises:
        LabError: for examples of a regression, which have none.
    """
    classes: list[int] = []
    for example in examples:
        if isinstance(example.label, float):
            raise LabError(
                f"the label of example {example.id!r} is a number ({example.label:g}), and no "
                "class is right or wrong for it; take a task of classes"
            )
        classes.append(example.label)
    return classes


@dataclass(frozen=True)
class TaskPrompt:
    """A template without virtual tokens, and the label words that go with it."""

    template: str
    verbalizer: Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """Examples in splits.

    Attributes:
        fields: names of the texts; labels: class names in the order of the label numbers, empty
            for a regression; range: lowest and highest value of a regression.
        source: where the data come from.
        prompts: a sensible template and label words for each readout.
        with_texts: for a folder's task: the task with other columns as its texts.
    """

    name: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Example, ...]] = field(repr=False)
    source: str = ""
    range: tuple[float, float] | None = None
    prompts: Mapping[str, TaskPrompt] = field(default_factory=dict, repr=False)
    with_texts: Callable[[Iterable[str]], Task | None] | None = field(
        default=None, repr=False, compare=False
    )

    def for_fields(self, names: Iterable[str]) -> Task:
        """The task as a template with these fields sees it. A folder may hold more texts than a
        template uses: only the used ones decide what may stand on two sides of a cut."""
        if self.with_texts is None or set(names) == set(self.fields):
            return self
        return self.with_texts(tuple(names)) or self

    def for_readout(self, readout: str) -> Task:
        """The task as its own template for a readout sees it, see :meth:`for_fields`."""
        return self.for_fields(Template(self.prompt_for(readout).template).fields)

    @property
    def kind(self) -> str:
        return "regression" if self.range is not None else "classification"

    @property
    def metric(self) -> str:
        return "pearson" if self.range is not None else "accuracy"

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of a split.

        Raises:
            LabError: for a split that the task does not have, or that is empty.
        """
        examples = self._split(name)
        if not examples:
            remedy = "give more examples"
            if self.with_texts is not None:  # a folder's
                remedy = (
                    f"put examples into its {name}.jsonl, or more into its train.jsonl, a tenth of "
                    "which stands in for a file that is not there"
                )
            raise LabError(f"split {name!r} of task {self.name!r} is empty; {remedy}")
        return examples

    def _split(self, name: str) -> tuple[Example, ...]:
        if name not in self.splits:
            raise LabError(
                f"task {self.name!r} has no split {name!r}; it has {', '.join(self.splits)}"
            )
        return self.splits[name]

    def take(self, name: str, count: int, seed: int = 0) -> tuple[Example, ...]:
        """A seeded sample without repetition, or the whole split if it is no larger.

        Raises:
            LabError: for fewer examples than one, or no such split.
        """
        examples = self.split(name)
        if count < 1:
            raise LabError(f"limit={count}: take at least one example of {self.name!r}")
        order = np.random.default_rng(seed).permutation(len(examples))[:count]
        return tuple(examples[i] for i in order)

    def with_splits(self, **splits: Sequence[Example]) -> Task:
        """The same task with other examples in the splits that are named.

        They stay as they are given: no template cuts such a task anew. Where its own texts may not
        be the used ones, call :meth:`for_fields` or :meth:`for_readout` before they are chosen.
        """
        given = {name: tuple(examples) for name, examples in splits.items()}
        return replace(self, splits={**self.splits, **given}, with_texts=None)

    def fingerprint(self, *names: str) -> str:
        """Digest of all examples in these splits: texts, labels and their order."""
        total = hashlib.sha256()
        for name in names:
            for example in self._split(name):
                fields = sorted(example.fields.items())
                total.update(repr((name, example.id, fields, example.label)).encode())
        return total.hexdigest()[:16]

    def majority(self, split: str = "test") -> float:
        """Share of the largest class: what a blind guess reaches.

        Raises:
            LabError: for a regression, or a split that is missing or empty.
        """
        if self.kind == "regression":
            raise LabError(f"task {self.name!r} is a regression; it has no majority class")
        counts = np.bincount([example.label for example in self.split(split)])
        return float(counts.max() / counts.sum())

    def prompt_for(self, readout: str) -> TaskPrompt:
        """The template and label words for a readout.

        Raises:
            LabError: if the task knows none for it.
        """
        if readout not in self.prompts:
            raise LabError(
                f"task {self.name!r} knows no template for the {readout} readout; give a template "
                "and label words"
            )
        return self.prompts[readout]
