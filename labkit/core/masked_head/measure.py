"""How well a masked head names the pieces that are missing from texts it never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional as F

from labkit.core import statistics
from labkit.core.masked_head.batches import MASKED, cut, mask_pieces
from labkit.core.masked_head.storage import body_folder, load_masked_lm

MOST_TEXTS = 1500


@dataclass(frozen=True)
class MaskedAccuracy:
    """Share of masked pieces of held-out texts that the model names, and its perplexity there."""

    texts: int
    pieces: int
    masked_accuracy: float
    ci95: tuple[float, float]
    perplexity: float


def measure(folder: Path, held_out: Sequence[str], seed: int = 0) -> MaskedAccuracy:
    """Masked accuracy of a folder on (a seeded sample of) texts, 15 % of their pieces masked."""
    model = load_masked_lm(folder, torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(body_folder(folder))
    chosen = np.random.default_rng(seed).permutation(len(held_out))[:MOST_TEXTS]
    rows = cut([held_out[i] for i in chosen], tokenizer)
    rows.sort(key=len)
    rng, right, loss = np.random.default_rng(1), [], 0.0
    for start in range(0, len(rows), 64):
        batch = mask_pieces(rows[start : start + 64], MASKED, tokenizer.mask_token_id, rng)
        with torch.no_grad():
            hidden = model.bert(batch.ids, batch.mask).last_hidden_state
            logits = model.cls(hidden.flatten(0, 1)[batch.places]).float()
        right += (logits.argmax(-1) == batch.targets).tolist()
        loss += F.cross_entropy(logits, batch.targets, reduction="sum").item()
    return MaskedAccuracy(
        texts=len(rows),
        pieces=len(right),
        masked_accuracy=float(np.mean(right)),
        ci95=statistics.accuracy_interval(np.array(right)),
        perplexity=math.exp(loss / len(right)),
    )
