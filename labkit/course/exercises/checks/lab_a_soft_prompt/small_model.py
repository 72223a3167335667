"""What the milestones are tried on: a language model of a few thousand random weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import torch
import transformers
from torch import Tensor, nn

from labkit.course.exercises.compare import Draw, require

PIECES, WIDTH = 30, 8


class Parts(SimpleNamespace):
    """The functions that an answer is put together from; messages call them ``parts``."""

    def __repr__(self) -> str:
        return "parts"


class Budget(NamedTuple):
    """What a training may spend."""

    steps: int
    batch_size: int
    lr: float
    warmup: int
    seed: int


class SoftPrompt(nn.Module):
    """A soft prompt as the first milestone asks for it."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(start.clone())

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        rows = [torch.cat([self.vectors, text]) for text in embedded]
        ones = torch.ones(len(mask), len(self.vectors), dtype=mask.dtype)
        return torch.stack(rows), torch.cat([ones, mask], 1)


def frozen_model(draw: Draw, number: int) -> transformers.LlamaForCausalLM:
    """A causal model of the kind of the lab's, frozen."""
    config = transformers.LlamaConfig(
        vocab_size=PIECES, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=16, max_position_embeddings=64,
        initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(50 * draw.number + number)
    return transformers.LlamaForCausalLM(config).requires_grad_(False).eval()


def some_rows(draw: Draw, count: int, longest: int = 6) -> list[list[int]]:
    """Texts as ids of their pieces, of various lengths."""
    return [
        [draw.whole(1, PIECES - 1) for _ in range(draw.whole(1, longest))] for _ in range(count)
    ]


def next_piece(model: nn.Module, vectors: Tensor, row: list[int]) -> Tensor:
    """Log-probabilities of all pieces (V,) behind the prompt and one text, without padding."""
    text = model.get_input_embeddings()(torch.tensor(row))
    logits = model(inputs_embeds=torch.cat([vectors, text])[None]).logits[0, -1]
    return logits - logits.logsumexp(0)


def batch_scores(
    model: nn.Module, vectors: Tensor, ids: Tensor, mask: Tensor, words: list[int]
) -> Tensor:
    """Label scores (B, C) of a padded batch, in one pass."""
    text = model.get_input_embeddings()(ids)
    inputs = torch.cat([vectors.expand(len(ids), -1, -1), text], 1)
    logits = model(inputs_embeds=inputs).logits  # causal: padding on the right is not seen
    last = logits[torch.arange(len(ids)), len(vectors) + mask.sum(1) - 1]  # (B, V)
    return (last - last.logsumexp(1, keepdim=True))[:, words]


def padded(rows: list[list[int]], pad: int = 0) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, T), padded on the right."""
    width = max(map(len, rows))
    ids = [row + [pad] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


class Collate:
    """:func:`padded` as a part, which remembers the ids that it was told to fill up with."""

    def __init__(self) -> None:
        self.pads: set[int] = set()

    def __call__(self, rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        self.pads.add(int(pad))
        return padded(rows, pad)

    def require_pad(self, pad: int) -> None:
        require(
            self.pads <= {pad},
            "the rows are filled up with another id than `pad`: give it to `parts.collate`",
        )
