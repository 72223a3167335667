"""A prompt of one model in front of another, through a learned map (TPT, section 6).

Usage::

    prompt = ProjectedPrompt(vectors_of_minilm, smollm2)
    fit(model, prompt, task)                   # the map learns
    prompt.on(another_prompt_of_minilm)        # the same map, another task's prompt
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.soft_prompt.vocabulary import all_word_vectors


class ProjectedPrompt(nn.Module):
    """A prompt of another model, brought to this one's width by a map that is trained.

    Each virtual token goes through the same two layers, ``LayerNorm(W₂ tanh(W₁ x))``, and leaves
    with the spread of this model's word embeddings. The source's vectors stay as they are; only the
    map learns, so it can be trained with one task's prompt and then used :meth:`on` another's.
    After Su et al. 2022, section 6, whose map reads all virtual tokens at once.

    Args:
        vectors: (P, S) virtual tokens of the source model.
        backbone: the model that shall read them, of width D.
        width: H of the hidden layer; seed: of the map's first weights.
    """

    vectors: Tensor
    spread: Tensor

    def __init__(
        self, vectors: Tensor, backbone: Backbone, width: int = 256, seed: int = 0
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.LayerNorm(vectors.shape[1], elementwise_affine=False),
                nn.Linear(vectors.shape[1], width),
                nn.Tanh(),
                nn.Linear(width, backbone.hidden_size),
                nn.LayerNorm(backbone.hidden_size, elementwise_affine=False),
            )
        self.register_buffer("vectors", vectors.detach().float().clone())
        self.register_buffer("spread", all_word_vectors(backbone).std())

    def forward(self) -> Tensor:
        return self.layers(self.vectors) * self.spread  # (P, S) → (P, D)

    def on(self, vectors: Tensor) -> ProjectedPrompt:
        """Another prompt (Q, S) through the very same map.

        Raises:
            LabError: if it is of another width than the prompt that the map was made for.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.vectors.shape[1]:
            raise LabError(
                f"a prompt of shape {tuple(vectors.shape)} does not fit a map from vectors of "
                f"width {self.vectors.shape[1]}; take one of the same source model"
            )
        other = copy.copy(self)
        other._buffers = self._buffers | {"vectors": vectors.detach().float().clone()}
        return other
