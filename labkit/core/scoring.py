"""The fast path: from encoded sequences to label scores.

What makes it fast, in the order of what it brings (`labkit bench evaluate` measures it):

1. The answer is read at one position, so the vocabulary head runs there only (hooks.py).
2. For causal models the keys and values of the leading part that all sequences share (virtual
   tokens, words in front of the text) are computed once, not once per sequence.
3. Sequences are sorted by length and batched by a budget of tokens, so little is padding and a
   batch's activations stay in the processor's cache.
4. bf16 where the machine has it; no gradient for the backbone.
5. On a CPU attention is plain matrix products (attention.py): torch's fused kernel is slower there.

None of it changes a score: the tests hold it against Hugging Face's own forward pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from labkit.core import budget, proofs
from labkit.core.backbones import Backbone
from labkit.core.budget import Budget, budget_for, within_memory
from labkit.core.devices import columns, moved, synchronise
from labkit.core.errors import LabError, first_line
from labkit.core.labels import Labels
from labkit.core.sequences import NO_PREFIX, Batch, Encoded, Prefix, collate

TRAINING_TOKENS = 512
"""Tokens computed in a part of a training batch on the CPU: less padding, few parts."""

MEASURED_SECONDS = 0.5
"""How long the rate of a matrix product is measured."""

Progress = Callable[[int, int], None]
"""Called with (done, in all) of what is counted: sequences here."""


def class_scores(
    backbone: Backbone,
    sequences: Sequence[Encoded],
    vectors: Tensor | None,
    labels: Labels,
    prefix: Prefix = NO_PREFIX,
) -> Tensor:
    """Scores of one batch: (B, C), differentiable in ``vectors``.

    Args:
        sequences: B sequences.
        vectors: (P, D) virtual tokens, None for a hard prompt.
        prefix: what the sequences begin with, from :meth:`Backbone.prefix_of`; read here unless it
            has been read already.
    """
    prefix = backbone.read(prefix, vectors)
    batch = collate([prefix.rest(sequence) for sequence in sequences], backbone.device)
    return _batch_scores(backbone, batch._replace(prefix=prefix), vectors, labels)


class Scorer:
    """Sequences laid out in batches once, to be scored under any number of prompts.

    Args:
        batch_tokens: tokens in a batch; default: what suits the device, see budget.py.
        share: read what all sequences begin with once per prompt, where the model can; False is
            the plain path.
    """

    def __init__(
        self,
        backbone: Backbone,
        sequences: Sequence[Encoded],
        labels: Labels,
        *,
        batch_tokens: int | None = None,
        share: bool = True,
    ) -> None:
        self.backbone, self.labels, self.batch_tokens = backbone, labels, batch_tokens
        self.prefix = backbone.prefix_of(sequences) if share else NO_PREFIX
        self.rest = [self.prefix.rest(sequence) for sequence in sequences]
        self._lay_out()

    def _lay_out(self) -> None:
        self.budget = self._budget()
        batches = length_batches(
            [len(sequence.ids) for sequence in self.rest],
            self.budget,
            prefix=len(self.prefix),
            equal=not self.backbone.pads,
        )
        device = self.backbone.device
        self.batches = [(rows, collate([self.rest[r] for r in rows], device)) for rows in batches]
        self._places = [moved(torch.tensor(rows), device) for rows, _ in self.batches]

    def _budget(self) -> Budget:
        return budget_for(self.backbone.device, self.batch_tokens)

    def __call__(self, vectors: Tensor | None, progress: Progress | None = None) -> Tensor:
        """Scores under the prompt ``vectors`` (P, D), without gradient: (N, C) fp32 on the CPU.

        Raises:
            LabError: where the model's scores are not finite.
        """
        device = self.backbone.device
        # it fills where the model is, and comes back once: a device is not waited for in between
        result = torch.empty(len(self.rest), len(self.labels.classes), device=device)
        waiting = set(range(len(self.rest)))
        within_memory(device, lambda: self._fill(result, waiting, vectors, progress))
        return _finite(result.cpu(), self.backbone)

    def _fill(
        self,
        result: Tensor,
        waiting: set[int],
        vectors: Tensor | None,
        progress: Progress | None,
    ) -> None:
        """Scores of the rows ``waiting``, which are taken from it as they come."""
        if self._budget() != self.budget:
            self._lay_out()
        with torch.inference_mode():
            prefix = self.backbone.read(self.prefix, vectors)
            for places, (rows, batch) in zip(self._places, self.batches, strict=True):
                if waiting.isdisjoint(rows):
                    continue
                batch = batch._replace(prefix=prefix)
                result[places] = _batch_scores(self.backbone, batch, vectors, self.labels)
                waiting.difference_update(rows)
                if progress is not None:
                    progress(len(result) - len(waiting), len(result))


def _finite(scores: Tensor, backbone: Backbone) -> Tensor:
    if not torch.isfinite(scores).all():
        raise not_finite(backbone)
    return scores


def not_finite(backbone: Backbone) -> LabError:
    """For scores that are NaN or infinite: no class can be read from them."""
    name = str(backbone.dtype).removeprefix("torch.")
    remedy = "its weights are damaged, or numbers overflow in it; give another checkpoint"
    if backbone.dtype.itemsize < 4:
        remedy = (
            "numbers overflow in this precision; load it with dtype=torch.float32 (a command: set "
            "LABKIT_DTYPE=float32), and train a prompt with a lower learning rate"
        )
    return LabError(f"{backbone.name} gives NaN or infinite scores in {name}: {remedy}")


def score(
    backbone: Backbone,
    sequences: Sequence[Encoded],
    vectors: Tensor | None,
    labels: Labels,
    *,
    batch_tokens: int | None = None,
    share: bool = True,
    progress: Progress | None = None,
) -> Tensor:
    """Scores of any number of sequences under one prompt, see :class:`Scorer`: (N, C)."""
    scorer = Scorer(backbone, sequences, labels, batch_tokens=batch_tokens, share=share)
    return scorer(vectors, progress)


def scores_under_each(
    backbone: Backbone,
    sequences: Sequence[Encoded],
    prompts: Tensor,
    chosen: Sequence[int] | NDArray[np.int64],
    labels: Labels,
    prefix: Prefix = NO_PREFIX,
) -> Tensor:
    """Scores of sequences that stand behind different prompts, without gradient: (N, C).

    What they begin with is read once per prompt, all prompts in one batch; then sequences of all
    prompts are batched by their length.

    Args:
        prompts: (M, P, D); chosen: (N,) which of them stands before each sequence.
        prefix: what the sequences begin with, from :meth:`Backbone.prefix_of`.

    Raises:
        LabError: where the model's scores are not finite.
    """
    lengths = [len(sequence.ids) - len(prefix) for sequence in sequences]

    @torch.inference_mode()
    def scores() -> Tensor:
        limit, equal = budget_for(backbone.device), not backbone.pads
        read = backbone.read(prefix, prompts)
        order: list[int] = []
        parts: list[Tensor] = []
        for rows in length_batches(lengths, limit, prefix=len(prefix), equal=equal):
            which = moved(torch.tensor([chosen[row] for row in rows]), prompts.device)
            part = [sequences[row] for row in rows]
            parts.append(class_scores(backbone, part, prompts[which], labels, read.of(which)))
            order += rows
        return torch.cat(parts).cpu()[torch.tensor(order).argsort()]

    return _finite(within_memory(backbone.device, scores), backbone)


def scores_under_all(
    backbone: Backbone, sequences: Sequence[Encoded], prompts: Tensor, labels: Labels
) -> Tensor:
    """Scores of every sequence under every prompt, as :func:`scores_under_each`: (M, N, C).

    Args:
        prompts: (M, P, D).
    """
    scores = scores_under_each(
        backbone,
        [*sequences] * len(prompts),
        prompts,
        np.arange(len(prompts)).repeat(len(sequences)),
        labels,
        backbone.prefix_of(sequences),
    )
    return scores.view(len(prompts), len(sequences), -1)  # (M·N, C) → (M, N, C)


def training_scores(
    backbone: Backbone,
    sequences: Sequence[Encoded],
    vectors: Tensor | None,
    labels: Labels,
    prefix: Prefix = NO_PREFIX,
) -> Tensor:
    """Scores of a training batch with their gradient: (B, C), in the order given.

    As :func:`class_scores`, in parts of similar length: a random batch is nearly half padding
    otherwise. The prefix is read once for all of them.
    """
    lengths = [len(sequence.ids) - len(prefix) for sequence in sequences]
    order: list[int] = []
    parts: list[Tensor] = []
    limit = budget_for(backbone.device)
    if backbone.device.type == "cpu":
        limit = replace(limit, computed=min(limit.computed, TRAINING_TOKENS))
    prefix = backbone.read(prefix, vectors)
    batches = list(length_batches(lengths, limit, prefix=len(prefix), equal=not backbone.pads))
    # where one part fills the memory, the others are computed again on the way back
    spares = len(batches) > 1 and backbone.device.type != "cpu"
    for rows in batches:
        part = [sequences[row] for row in rows]
        arguments = (backbone, part, vectors, labels, prefix)
        if spares:
            parts.append(checkpoint(class_scores, *arguments, use_reentrant=False))
        else:
            parts.append(class_scores(*arguments))
        order += rows
    back = moved(torch.tensor(order).argsort(), backbone.device)
    return torch.cat(parts)[back]


def matrix_rate(weight: Tensor) -> float:
    """Measured rate of this device's product of a batch of tokens with ``weight``, in FLOP/s."""
    tokens = (budget.CPU if weight.device.type == "cpu" else budget.GPU).computed
    batch = torch.randn(tokens, weight.shape[1], device=weight.device).to(weight.dtype)
    best, until = float("inf"), time.perf_counter() + MEASURED_SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        functional.linear(batch, weight)
        synchronise(weight.device)
        best = min(best, time.perf_counter() - started)
    return 2 * len(batch) * weight.numel() / best


def length_batches(
    lengths: Sequence[int], limit: Budget | int, *, prefix: int = 0, equal: bool = False
) -> Iterator[list[int]]:
    """Indices in batches within ``limit``, padding counted, shortest first.

    Args:
        limit: a budget, or the tokens that a batch may compute and hold.
        prefix: tokens that each row holds beside its own.
        equal: only sequences of one length together, for models that can't do with padding.
    """
    limit = Budget.of(limit) if isinstance(limit, int) else limit
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length, rows = lengths[index], len(batch) + 1
        full = rows * length > limit.computed or rows * (length + prefix) > limit.held
        if batch and (full or (equal and lengths[batch[0]] != length)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _batch_scores(
    backbone: Backbone, batch: Batch, vectors: Tensor | None, labels: Labels
) -> Tensor:
    try:
        scores = backbone.word_scores(batch, vectors, labels.words)  # (B, W)
    except proofs.FAILURES as error:
        if budget.is_out_of_memory(error):
            raise
        raise LabError(
            f"{backbone.name} fails on a batch of {tuple(batch.ids.shape)} tokens "
            f"({first_line(error)}); shorten the texts, or use another model"
        ) from error
    return torch.stack(
        [backbone.combine(columns(scores, words)) for words in labels.classes], dim=-1
    )


def losses_of(scores: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """−log p(right class) of each example in nats: (N,), from scores (N, C) and classes (N,)."""
    return functional.cross_entropy(scores, targets, reduction="none").double().numpy()
