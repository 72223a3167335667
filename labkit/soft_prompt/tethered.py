"""Virtual tokens on a tether: each begins on a word and may leave it by so much and no more."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TetheredPrompt(nn.Module):
    """P virtual tokens, each within its own distance of its word.

    Args:
        words: (P, D) where the rows begin; radii: (P,) how far each may go, 0 for one that stays.

    Attributes:
        offsets: (P, D), what is trained; one that is longer than its radius is drawn back to it.
    """

    words: Tensor
    radii: Tensor

    def __init__(self, words: Tensor, radii: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("radii", radii)
        self.offsets = nn.Parameter(torch.zeros_like(words))

    def forward(self) -> Tensor:
        """The virtual tokens: (P, D)."""
        far = self.offsets.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return self.words + self.offsets * (self.radii[:, None] / far).clamp(max=1.0)

    def extra_repr(self) -> str:
        return f"{len(self.words)} virtual tokens of width {self.words.shape[1]}"
