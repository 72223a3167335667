"""The comparison over GLUE: what sorting a soft prompt adds to prompt tuning (section 4).

The paper's four methods (table 8) and two rows of ours, which spend the same number of forward
passes as the sorter without learning anything:

==================  ================================================================================
fine-tuning         no prompt, the backbone unfrozen
prompt              prompt tuning (Lester et al. 2021)
sorter              the trained prompt frozen, its order learnt by the LSTM sorter, one epoch
sorter + positions  the same, reading the prompt through position enhancement
best of N           N random orders of the trained prompt, the best one chosen on validation
swaps               gradient-guided exchanges of two virtual tokens
==================  ================================================================================

Two controls stand beside them: the hard prompt, and, for pairs of texts on a text encoder, the
cosine of the two texts, which reads neither prompt nor label words (:func:`cosine_of_pairs`).

STS-B is a regression: two poles, scored with Pearson's r. A sequence-to-sequence model can also be
asked for the number itself (:func:`with_number_strings`, :func:`read_numbers`), as T5 was trained
to; the share of its answers that are no number is then part of the result.

Source: Liu, Cheng and Liu 2024, section 4 and tables 7 and 8; Raffel et al. 2020, section 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labkit.core import statistics
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.readouts import Seq2SeqBackbone, mean_pooled
from labkit.core.scoring import length_batches
from labkit.core.sequences import Encoded, collate
from labkit.core.tasks import GLUE, Example, Task, TaskPrompt
from labkit.lstm_sorter import PromptLoss, find_order
from labkit.lstm_sorter.sorters import is_permutation
from labkit.shuffle_probe import Shuffle, probe_order
from labkit.soft_prompt import SoftPrompt

PAPER_METHODS = ("fine-tuning", "prompt", "sorter", "sorter + positions")
METHODS = (*PAPER_METHODS, "best of N", "swaps")
HARD, COSINE = CONTROLS = ("hard prompt", "cosine of the two texts")
SORTING = METHODS[2:]
"""Methods that look for another order of a trained prompt."""

PRINTED = {"FT": "fine-tuning", "PT": "prompt", "Ours": "sorter", "Ours+positions": METHODS[3]}
"""What the paper calls the methods, and what they are called here."""

PASSES_PER_EXAMPLE = 3
"""Forward passes per training example that a search may spend: an epoch of the sorter takes two
(forward and backward), and a third of what it spends may go into comparing orders."""

WRITTEN_TOGETHER = 16
"""Examples whose answers are written in one batch."""

VALIDATION_EXAMPLES = 256
"""Sample on which the best of N random orders is chosen."""


@dataclass(frozen=True)
class Sorted:
    """A trained prompt in the order that a method found.

    Attributes:
        prompt: the same virtual tokens; order: entry i says which of them stands at place i.
        forward_passes: spent on the search; is_permutation: whether every token is used once.
    """

    prompt: SoftPrompt
    order: tuple[int, ...]
    forward_passes: int

    @property
    def is_permutation(self) -> bool:
        return is_permutation(self.order)


def budget_of(task: Task, limit: int | None = None) -> int:
    """Forward passes that each search may spend on a task: one epoch of the sorter."""
    count = len(task.split("train"))
    return PASSES_PER_EXAMPLE * (count if limit is None else min(count, limit))


def sort_prompt(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    method: str,
    *,
    budget: int,
    seed: int = 0,
) -> Sorted:
    """The trained prompt in a better order, found by one of :data:`SORTING`.

    Raises:
        LabError: for another method, or a budget that is too small for a single order.
    """
    vectors = model.fixed_vectors(prompt)
    if method == "best of N":
        order, spent = _best_of_random(model, prompt, task, budget, seed)
    elif method in SORTING:
        objective = PromptLoss(model, prompt, task, seed=seed)
        best = find_order(
            objective,
            "swap" if method == "swaps" else "lstm",
            budget=budget,
            seed=seed,
            positions=method == "sorter + positions",
        )
        order, spent = best.order, best.forward_passes
    else:
        raise LabError(f"method {method!r} sorts nothing; choose one of {', '.join(SORTING)}")
    return Sorted(SoftPrompt(vectors[list(order)]), tuple(order), spent)


def _best_of_random(
    model: PromptedModel, prompt: nn.Module, task: Task, budget: int, seed: int
) -> tuple[tuple[int, ...], int]:
    """The best of as many random orders as the budget has room for, the trained one included."""
    size = min(VALIDATION_EXAMPLES, len(task.split("validation")))
    count = budget // size - 1  # the trained order is scored too
    if count < 1:
        raise LabError(f"budget={budget} is too small to score an order on {size} examples")
    orders = Shuffle().draw(len(prompt()), count, seed)
    probe = probe_order(model, prompt, task, orders, "validation", limit=size)
    spent = (len(orders) + 1) * size
    if probe.scores.max() <= probe.baseline:
        return tuple(range(orders.shape[1])), spent
    return tuple(orders[probe.scores.argmax()].tolist()), spent


# ---- a control without a prompt ----


def cosine_of_pairs(backbone: Backbone, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Cosine of each example's two texts, each read alone by a text encoder: (N,).

    Raises:
        LabError: for another readout, or examples that are no pairs.
    """
    if backbone.readout != "encoder":
        raise LabError(f"{backbone.name} pools no text ({backbone.readout} readout); take minilm")
    if any(len(example.fields) != 2 for example in examples):
        raise LabError("the cosine of two texts needs examples with two texts each")
    sides = zip(*(example.fields.values() for example in examples), strict=True)
    first, second = (_text_vectors(backbone, texts) for texts in sides)
    return (first * second).sum(-1).double().cpu().numpy()


def _text_vectors(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """Mean-pooled unit vectors of texts without any prompt: (N, D)."""
    tokenized = backbone.tokenizer(list(texts), truncation=True, max_length=backbone.max_length)
    sequences = [Encoded(tuple(ids), -1) for ids in tokenized["input_ids"]]
    vectors: dict[int, Tensor] = {}
    with torch.inference_mode():
        for rows in length_batches([len(sequence.ids) for sequence in sequences], 2048):
            batch = collate([sequences[row] for row in rows], backbone.device)
            hidden = backbone.model(input_ids=batch.ids, attention_mask=batch.mask)
            pooled = mean_pooled(hidden.last_hidden_state, batch.mask).cpu()  # (B, D)
            vectors.update(zip(rows, pooled, strict=True))
    return torch.stack([vectors[row] for row in range(len(texts))])


def best_threshold(values: NDArray, labels: NDArray) -> tuple[float, int]:
    """Where to cut values (N,) in two so that most of the labels 0 and 1 are right.

    Returns:
        The threshold, and the label of what lies above it.
    """
    order = np.argsort(values, kind="stable")
    ones = np.concatenate([[0], np.cumsum(labels[order])])  # ones among the i lowest
    count, total = len(labels), ones[-1]
    below = np.arange(count + 1)
    right = (below - ones) + (total - ones)  # zeros below, ones above
    flat = np.concatenate([[False], np.diff(values[order]) == 0, [False]])
    above_right = np.where(flat, -1, right)  # no cut between equal values
    below_right = np.where(flat, -1, count - right)
    upper = int(above_right.max() >= below_right.max())
    cut = int((above_right if upper else below_right).argmax())
    ends = np.concatenate([[-np.inf], values[order], [np.inf]])
    return float((ends[cut] + ends[cut + 1]) / 2), upper


# ---- the mean over tasks ----


def mean_over_tasks(
    values: Mapping[str, Mapping[int, float] | Sequence[float]], tasks: Sequence[str] = GLUE
) -> tuple[float, statistics.Interval | None]:
    """Unweighted mean over tasks of the mean over seeds, with Student's interval over seeds.

    Args:
        values: task → seed → score; or the scores alone, the seeds in the same order for each task.

    Returns:
        The mean, and the interval of the per-seed means; None with a single seed.

    Raises:
        LabError: if a task is missing, or tasks have different seeds: a mean over other tasks or
            seeds is another quantity.
    """
    missing = [task for task in tasks if task not in values]
    scores = [_by_seed(values[task]) for task in tasks if task in values]
    seeds = sorted({tuple(sorted(of_task)) for of_task in scores})
    if missing or len(seeds) != 1:
        other = f"{' and '.join(map(str, map(list, seeds)))} are the seeds by task"
        raise LabError(
            f"no mean over {', '.join(tasks)}: "
            + (f"{', '.join(missing)} missing" if missing else other)
        )
    by_seed = np.mean([[of_task[seed] for seed in seeds[0]] for of_task in scores], axis=0)  # (S,)
    interval = statistics.mean_interval(by_seed) if len(by_seed) > 1 else None
    return float(by_seed.mean()), interval


def _by_seed(scores: Mapping[int, float] | Sequence[float]) -> dict[int, float]:
    return dict(scores if isinstance(scores, Mapping) else enumerate(scores))


# ---- numbers as text ----

STEP = 0.2
"""T5's step for STS-B: similarities are rounded to it and written out, "3.8"."""


def with_number_strings(task: Task) -> Task:
    """A regression as T5 reads it: rounded to :data:`STEP`, each value a class with its string.

    Raises:
        LabError: for a task that is no regression.
    """
    if task.kind != "regression":
        raise LabError(f"task {task.name!r} is no regression; its labels are classes already")
    low, high = task.range
    strings = tuple(f"{low + STEP * i:.1f}" for i in range(round((high - low) / STEP) + 1))
    template = task.prompt_for("seq2seq").template
    task = task.for_readout("seq2seq")
    return replace(
        task,
        with_texts=None,
        labels=strings,
        range=None,
        splits={
            name: tuple(replace(e, label=round((e.label - low) / STEP)) for e in examples)
            for name, examples in task.splits.items()
        },
        prompts={"seq2seq": TaskPrompt(template, dict(zip(strings, strings, strict=True)))},
    )


def written_answers(
    model: PromptedModel,
    prompt: nn.Module | None,
    examples: Sequence[Example],
) -> list[str]:
    """What a sequence-to-sequence model writes, its likeliest piece each time, in 8 pieces at most.

    Raises:
        LabError: for another readout, or virtual tokens in front of the decoder.
    """
    backbone = model.backbone
    if not isinstance(backbone, Seq2SeqBackbone):
        raise LabError(f"{backbone.name} writes no text of its own; numbers are read from T5")
    vectors = model.fixed_vectors(prompt)
    sequences = model.encode(examples, vectors)
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(sequences), WRITTEN_TOGETHER):
            batch = collate(sequences[start : start + WRITTEN_TOGETHER], backbone.device)
            written = backbone.write(batch, vectors, pieces=8)
            texts += backbone.tokenizer.batch_decode(written, True)
    return texts


def read_numbers(
    model: PromptedModel,
    prompt: nn.Module | None,
    examples: Sequence[Example],
    limits: tuple[float, float],
) -> tuple[NDArray[np.float64], float]:
    """The answers that a model writes (:func:`written_answers`), read as numbers.

    Returns:
        (N,) values, the middle of ``limits`` where the answer is no number between them, and the
        share of such answers.
    """
    answers = written_answers(model, prompt, examples)
    read = np.array([number_in(answer) for answer in answers], dtype=np.float64)
    low, high = limits
    unread = ~((read >= low) & (read <= high))  # NaN too
    return np.where(unread, (low + high) / 2, read), float(unread.mean())


def number_in(text: str) -> float:
    """The number that an answer is; NaN where it is none or more than one thing."""
    return float(text) if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", text) else float("nan")
