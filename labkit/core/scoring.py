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
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from labkit.core.backbones import Backbone
from labkit.core.sequences import NO_PREFIX, Batch, Encoded, Pieces, Prefix, collate

CPU_BATCH_TOKENS = 512
GPU_BATCH_TOKENS = 65_536
"""Tokens in a batch. Measured on two cores with smollm2: 256 to 1,024 are equally fast, from 2,048
on attention's masks and activations fall out of the cache."""

TRAINING_TOKENS = 512
"""Tokens in a part of a training batch on the CPU: less padding, few parts."""

Progress = Callable[[int, int], None]
"""Called with (sequences done, sequences in all)."""


class Labels(NamedTuple):
    """Label words cut into pieces: ``words`` lists them all, ``classes`` the indices per class."""

    words: tuple[Pieces, ...]
    classes: tuple[tuple[int, ...], ...]


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
    return _batch_scores(backbone, batch, vectors, labels, prefix)


class Scorer:
    """Sequences laid out in batches once, to be scored under any number of prompts.

    Args:
        batch_tokens: tokens in a batch; default: what suits the device.
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
        if batch_tokens is None:
            batch_tokens = CPU_BATCH_TOKENS if backbone.device.type == "cpu" else GPU_BATCH_TOKENS
        self.backbone, self.labels = backbone, labels
        self.prefix = backbone.prefix_of(sequences) if share else NO_PREFIX
        rest = [self.prefix.rest(sequence) for sequence in sequences]
        self.batches = [
            (rows, collate([rest[row] for row in rows], backbone.device))
            for rows in length_batches([len(sequence.ids) for sequence in rest], batch_tokens)
        ]
        self.count = len(sequences)

    def __call__(self, vectors: Tensor | None, progress: Progress | None = None) -> Tensor:
        """Scores under the prompt ``vectors`` (P, D), without gradient: (N, C) fp32 on the CPU."""
        result = torch.empty(self.count, len(self.labels.classes))
        done = 0
        with torch.inference_mode():
            prefix = self.backbone.read(self.prefix, vectors)
            for rows, batch in self.batches:
                scores = _batch_scores(self.backbone, batch, vectors, self.labels, prefix)
                result[rows] = scores.cpu()
                done += len(rows)
                if progress is not None:
                    progress(done, self.count)
        return result


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
    on_cpu = backbone.device.type == "cpu"
    lengths = [len(sequence.ids) - len(prefix) for sequence in sequences]
    order: list[int] = []
    parts: list[Tensor] = []
    prefix = backbone.read(prefix, vectors)
    for rows in length_batches(lengths, TRAINING_TOKENS if on_cpu else GPU_BATCH_TOKENS):
        part = [sequences[row] for row in rows]
        parts.append(class_scores(backbone, part, vectors, labels, prefix))
        order += rows
    return torch.cat(parts)[torch.tensor(order).argsort()]


def matrix_rate(weight: Tensor, seconds: float = 0.5) -> float:
    """Measured rate of this device's product of a batch of tokens with ``weight``, in FLOP/s."""
    tokens = CPU_BATCH_TOKENS if weight.device.type == "cpu" else GPU_BATCH_TOKENS
    batch = torch.randn(tokens, weight.shape[1], device=weight.device).to(weight.dtype)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        functional.linear(batch, weight)
        synchronise()
        best = min(best, time.perf_counter() - started)
    return 2 * len(batch) * weight.numel() / best


def synchronise() -> None:
    """Wait until a GPU, if there is one, has done what it was asked to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of at most ``batch_tokens`` padded tokens, shortest first."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _batch_scores(
    backbone: Backbone,
    batch: Batch,
    vectors: Tensor | None,
    labels: Labels,
    prefix: Prefix,
) -> Tensor:
    known = {"prefix": prefix} if prefix else {}
    scores = backbone.word_scores(batch, vectors, labels.words, **known)  # (B, W)
    return torch.stack(
        [backbone.combine(scores[:, list(words)]) for words in labels.classes], dim=-1
    )
