"""The fast path: from encoded sequences to label scores.

What makes it fast, in the order of what it brings (`labkit bench evaluate` measures it):

1. The answer is read at one position, so the vocabulary head runs there only (backbones.py).
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

from labkit.core.backbones import Backbone, Batch, CausalBackbone, KeysValues, Pieces
from labkit.core.encoding import Encoded

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


def collate(sequences: Sequence[Encoded], device: torch.device) -> Batch:
    """Pad on the right to the longest: position ids then count from the left without gaps."""
    length = max(len(sequence.ids) for sequence in sequences)
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = torch.tensor(sequence.ids)
        mask[row, : len(sequence.ids)] = 1
    answer = torch.tensor([sequence.answer for sequence in sequences])
    return Batch(ids.to(device), mask.to(device), answer.to(device))


def shared_length(sequences: Sequence[Encoded]) -> int:
    """Length of the leading part that all sequences have in common, answer slots left out."""
    shortest = min(sequences, key=lambda sequence: len(sequence.ids))
    limit = min(len(shortest.ids) - 1, *(max(sequence.answer, 0) for sequence in sequences))
    first = sequences[0].ids
    for index in range(limit):
        if any(sequence.ids[index] != first[index] for sequence in sequences):
            return index
    return max(limit, 0)


def class_scores(
    backbone: Backbone,
    sequences: Sequence[Encoded],
    vectors: Tensor | None,
    labels: Labels,
    leading: int = 0,
    shared: KeysValues | None = None,
) -> Tensor:
    """Scores of one batch: (B, C), differentiable in ``vectors``.

    Args:
        sequences: B sequences.
        vectors: (P, D) virtual tokens, None for a hard prompt.
        leading: tokens at the start whose keys and values are shared (causal models only).
        shared: those keys and values where they are known already; computed here otherwise.
    """
    if leading and shared is None:
        shared = _keys_values(backbone, sequences[0], vectors, leading)
    batch = collate([_rest(sequence, leading) for sequence in sequences], backbone.device)
    return _batch_scores(backbone, batch, vectors, labels, shared)


class Scorer:
    """Sequences laid out in batches once, to be scored under any number of prompts.

    Args:
        batch_tokens: tokens in a batch; default: what suits the device.
        share: compute the shared leading part once per prompt (causal models); False is the plain
            path.
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
        self.backbone, self.labels, self.first = backbone, labels, sequences[0]
        self.leading = leading_length(backbone, sequences) if share else 0
        rest = [_rest(sequence, self.leading) for sequence in sequences]
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
            shared = None
            if self.leading:
                shared = _keys_values(self.backbone, self.first, vectors, self.leading)
            for rows, batch in self.batches:
                result[rows] = _batch_scores(
                    self.backbone, batch, vectors, self.labels, shared
                ).cpu()
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
    leading: int = 0,
) -> Tensor:
    """Scores of a training batch with their gradient: (B, C), in the order given.

    As :func:`class_scores`, in parts of similar length: a random batch is nearly half padding
    otherwise. The shared leading part is computed once for all of them.
    """
    on_cpu = backbone.device.type == "cpu"
    lengths = [len(sequence.ids) - leading for sequence in sequences]
    order: list[int] = []
    parts: list[Tensor] = []
    shared = _keys_values(backbone, sequences[0], vectors, leading) if leading else None
    for rows in length_batches(lengths, TRAINING_TOKENS if on_cpu else GPU_BATCH_TOKENS):
        part = [sequences[row] for row in rows]
        parts.append(class_scores(backbone, part, vectors, labels, leading, shared))
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


def leading_length(backbone: Backbone, sequences: Sequence[Encoded]) -> int:
    """Tokens at the start whose keys and values these sequences can share; 0 unless causal."""
    return shared_length(sequences) if isinstance(backbone, CausalBackbone) else 0


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


def _rest(sequence: Encoded, leading: int) -> Encoded:
    """The sequence without its shared leading part."""
    return Encoded(sequence.ids[leading:], sequence.answer - leading) if leading else sequence


def _batch_scores(
    backbone: Backbone,
    batch: Batch,
    vectors: Tensor | None,
    labels: Labels,
    shared: KeysValues | None,
) -> Tensor:
    known = {} if shared is None else {"shared": shared}
    scores = backbone.word_scores(batch, vectors, labels.words, **known)  # (B, W)
    return torch.stack(
        [backbone.combine(scores[:, list(words)]) for words in labels.classes], dim=-1
    )


def _keys_values(
    backbone: CausalBackbone, sequence: Encoded, vectors: Tensor | None, leading: int
) -> KeysValues:
    ids = torch.tensor(sequence.ids[:leading], device=backbone.device)
    return backbone.keys_values(ids, vectors)
