"""What stands in for unsolved milestones of Lab A, on plain models of transformers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from labkit.core.recipe import Recipe
from labkit.core.tuning import scheduled_rate


class PromptInFront(nn.Module):
    """A soft prompt as a module of its own: (P, D) vectors before embedded texts (B, T, D)."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.clone(start).detach())

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, P+T, D) and their mask (B, P+T)."""
        both = [torch.cat((self.vectors, text)) for text in embedded]
        return torch.stack(both), F.pad(mask, (len(self.vectors), 0), value=1)


def collate(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids (B, T) and mask (B, T) of rows of ids, padded on the right."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=pad)
    lengths = torch.tensor([[len(row)] for row in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths).long()


def label_scores(
    model: nn.Module, prompt: nn.Module, ids: Tensor, mask: Tensor, words: Sequence[int]
) -> Tensor:
    """Log-probabilities (B, C) of the label words behind each text."""
    inputs, seen = prompt(model.get_input_embeddings()(ids), mask)
    places = seen.sum(1)[:, None, None] - 1
    logits = model(inputs_embeds=inputs, attention_mask=seen).logits
    last = logits.take_along_dim(places, dim=1).squeeze(1)  # (B, V)
    return last[:, list(words)] - last.logsumexp(1, keepdim=True)


def learning_rate(step: int, steps: int, lr: float, warmup: int) -> float:
    """The library's linear schedule."""
    return scheduled_rate(step, Recipe(steps=steps, lr=lr, warmup=warmup, schedule="linear"))


def train(
    parts: SimpleNamespace, model: nn.Module, prompt: nn.Module, rows: Sequence[list[int]],
    targets: Sequence[int], words: Sequence[int], pad: int, budget: Any,
) -> list[float]:  # fmt: skip
    """Train the prompt in place by Adam; the loss of each step.

    Args:
        parts: ``batches``, ``collate``, ``label_scores`` and ``learning_rate``.
        budget: with ``steps``, ``batch_size``, ``lr``, ``warmup`` and ``seed``.
    """

    def all_batches() -> Iterator[list[int]]:
        for epoch in itertools.count():
            yield from parts.batches(len(rows), budget.batch_size, budget.seed, epoch)

    adam = torch.optim.Adam(prompt.parameters(), budget.lr)
    losses = []
    for step, chosen in zip(range(budget.steps), all_batches(), strict=False):
        adam.zero_grad()
        batch = parts.collate([rows[row] for row in chosen], pad)
        scores = parts.label_scores(model, prompt, *batch, words)
        loss = F.cross_entropy(scores, torch.tensor([targets[row] for row in chosen]))
        loss.backward()
        for group in adam.param_groups:
            group["lr"] = parts.learning_rate(step, budget.steps, budget.lr, budget.warmup)
        adam.step()
        losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def predict(
    parts: SimpleNamespace, model: nn.Module, prompt: nn.Module, rows: Sequence[list[int]],
    words: Sequence[int], pad: int, size: int,
) -> list[int]:  # fmt: skip
    """The class of each row: the place in ``words`` of its highest label score."""
    classes: list[int] = []
    for first in range(0, len(rows), size):
        batch = parts.collate(rows[first : first + size], pad)
        classes += parts.label_scores(model, prompt, *batch, words).argmax(-1).tolist()
    return classes


def save_prompt(vectors: Tensor, folder: Path, base_model: str) -> None:
    """Write vectors (P, D) in PEFT's format, by PEFT's own configuration."""
    from peft import PromptTuningConfig  # takes two seconds to import
    from safetensors.torch import save_file

    length, width = vectors.shape
    PromptTuningConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=base_model, inference_mode=True,
        num_virtual_tokens=length, token_dim=width,
    ).save_pretrained(str(folder))  # fmt: skip
    vectors = vectors.detach().clone(memory_format=torch.contiguous_format)
    save_file({"prompt_embeddings": vectors}, Path(folder) / "adapter_model.safetensors")
