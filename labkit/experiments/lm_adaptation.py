"""LM adaptation: T5 trained on as a prefix language model (Lester et al. 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers.optimization import Adafactor

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.tasks import load_task

BATCH = 16
"""Texts of a training step."""


def adapted(name: str, steps: int, seed: int) -> Backbone:
    """T5 trained on as a prefix language model (Lester et al. 2021, section 3.2), then frozen.

    Each text is cut at a random piece; the encoder reads the first part and the decoder writes the
    rest. The paper adapts on C4 for up to 100,000 steps; the text at hand here is the 5,190
    sentences of the editorials, so this shows the procedure rather than the paper's result.

    ``seed`` draws the texts, their cuts and the dropout. Name and revision say that the weights are
    others now: a prompt that was trained on them is refused by the model as it came.
    """
    backbone = load_backbone(name, trainable=True)
    if backbone.readout != "seq2seq":
        raise LabError(f"{name} is no sequence-to-sequence model; LM adaptation is for T5")
    texts = [example.text for example in load_task("editorials-valence").split("train")]
    random = np.random.default_rng(seed)
    optimizer = Adafactor(
        backbone.model.parameters(), lr=1e-3, relative_step=False, scale_parameter=False
    )
    backbone.train()
    with torch.random.fork_rng():  # the dropout's
        torch.manual_seed(seed)
        for batch in _prefix_batches(backbone, texts, steps, random):
            optimizer.zero_grad()
            backbone.model(**batch).loss.backward()
            optimizer.step()
    backbone.trainable = False
    backbone.model.requires_grad_(False)
    since = f", adapted for {steps} steps, seed {seed}"
    backbone.name, backbone.revision = backbone.name + since, backbone.revision + since
    return backbone.eval()


def _prefix_batches(
    backbone: Backbone, texts: Sequence[str], steps: int, random: np.random.Generator
) -> Iterator[dict[str, torch.Tensor]]:
    tokenizer = backbone.tokenizer
    cut = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    pieces = [ids[: backbone.max_length - 1] for ids in cut if len(ids) > 3]
    for _ in range(steps):
        chosen = [pieces[i] for i in random.integers(len(pieces), size=BATCH)]
        cuts = [int(random.integers(1, len(ids))) for ids in chosen]
        inputs = [ids[:cut] for ids, cut in zip(chosen, cuts, strict=True)]
        targets = [
            [*ids[cut:], tokenizer.eos_token_id] for ids, cut in zip(chosen, cuts, strict=True)
        ]
        yield {
            "input_ids": _padded(inputs, tokenizer.pad_token_id, backbone.device),
            "attention_mask": _padded([[1] * len(ids) for ids in inputs], 0, backbone.device),
            "labels": _padded(targets, -100, backbone.device),
        }


def _padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows], device=device)
