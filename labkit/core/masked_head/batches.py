"""Batches for masked language modelling: texts of similar length, with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import transformers
from torch import Tensor

FEWEST_PIECES = 6
"""A shorter text, [CLS] and [SEP] included, says too little of the word that it lacks."""

MOST_PIECES = 64
"""A longer text is cut."""

MASKED = 0.15
"""Share of the pieces that are masked to measure, as BERT's authors did to train."""

_CHUNK = 8192  # texts that are sorted by length together


class MaskedBatch(NamedTuple):
    """Texts with gaps: ids (B, T), attention mask (B, T), the gaps' places (M,) among the B·T ids,
    and the pieces that stood there (M,)."""

    ids: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor


def mask_pieces(
    rows: Sequence[Sequence[int]], share: float, mask_id: int, rng: np.random.Generator
) -> MaskedBatch:
    """Replace a share of each text's pieces by the mask: at least one, never its ends."""
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    gaps = np.zeros(ids.shape, dtype=bool)
    for r, row in enumerate(rows):
        ids[r, : len(row)] = row
        mask[r, : len(row)] = 1
        inner = len(row) - 2  # not [CLS] and [SEP]
        count = max(1, int(share * inner + rng.random()))  # rounded up as often as the rest says
        gaps[r, 1 + rng.permutation(inner)[:count]] = True
    targets = torch.from_numpy(ids[gaps])
    ids[gaps] = mask_id
    places = torch.from_numpy(np.flatnonzero(gaps))
    return MaskedBatch(torch.from_numpy(ids), torch.from_numpy(mask), places, targets)


def batches(lengths: Sequence[int], most: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of texts of similar length, ``most`` pieces with padding in a batch; each text once,
    and the batches in a random order that depends on (seed, epoch) alone."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    result = []
    for start in range(0, len(order), _CHUNK):
        part = order[start : start + _CHUNK]
        part = part[np.argsort([lengths[i] for i in part], kind="stable")]
        batch: list[int] = []
        for i in part:
            if batch and (len(batch) + 1) * lengths[i] > most:
                result.append(np.array(batch))
                batch = []
            batch.append(i)
        result.append(np.array(batch))
    return [result[i] for i in rng.permutation(len(result))]


def cut(
    texts: Sequence[str], tokenizer: transformers.PreTrainedTokenizerBase, most: int = MOST_PIECES
) -> list[list[int]]:
    """Ids of each text, ``most`` at most; short texts are left out."""
    rows = (tokenizer(text, truncation=True, max_length=most)["input_ids"] for text in texts)
    return [ids for ids in rows if len(ids) >= FEWEST_PIECES]
