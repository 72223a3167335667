"""Patching: a shuffled prompt whose keys and values are the trained order's at some places.

A causal model keeps of a virtual token what later words read of it: keys and values, one pair a
layer. Those of two orders of a prompt can be mixed, place by place and layer by layer, and the
words then read the mixture:

    reader = Reader.of(model, prompt, task, examples)
    trained, shuffled = (reader.read(vectors[order]) for order in (own, other))
    mixed = reader.patched(shuffled, trained, layers=range(30), places=[0])
    reader.losses(mixed)             # (N,) −log p(right class), in nats

How much of what the shuffled order costs is then restored says where the cost comes from. The first
place is the attention sink of most causal models (Xiao et al. 2024): every later token looks there
when it looks for nothing, whatever stands there.

Sources: Meng et al. 2022 and Zhang and Nanda 2024, for activation patching; Xiao et al. 2024,
"Efficient streaming language models with attention sinks".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labkit.core import scoring
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.labels import Labels
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.sequences import Encoded, Prefix
from labkit.core.statistics import Difference
from labkit.core.tasks import Example, Task, classes_of
from labkit.shuffle_probe.effect import pooled_effect


@dataclass(frozen=True)
class Reader:
    """Sentences that are read behind keys and values that are given.

    Attributes:
        prefix: what they begin with, not read yet; its virtual tokens stand at ``places``.
        vectors: (P, D) of any order: beside virtual tokens some families read words otherwise.
    """

    backbone: Backbone
    sequences: Sequence[Encoded]
    labels: Labels
    targets: Tensor
    prefix: Prefix
    places: tuple[int, ...]
    vectors: Tensor

    @classmethod
    def of(
        cls, model: PromptedModel, prompt: nn.Module, task: Task, examples: Sequence[Example]
    ) -> Reader:
        """For a prompt in any order of its rows.

        Raises:
            LabError: for a model that keeps no keys and values of its virtual tokens.
        """
        model = for_classes(model, task)
        vectors = model.fixed_vectors(prompt)
        sequences = model.encode(examples, vectors)
        prefix = model.backbone.prefix_of(sequences)
        places = tuple(place for place, token in enumerate(prefix.ids) if token < 0)
        if len(places) < len(vectors):
            raise LabError(
                f"{model.backbone.name} does not keep its virtual tokens' keys and values apart "
                "from the words; patching takes a causal model and a template that begins with "
                "{soft}"
            )
        # words of the prefix read the mixture too, and are no part of it
        prefix = Prefix(prefix.ids[: places[-1] + 1])
        targets = torch.tensor(classes_of(examples))
        return cls(model.backbone, sequences, model.labels(), targets, prefix, places, vectors)

    @property
    def layers(self) -> int:
        return int(self.backbone.text_config.num_hidden_layers)

    def read(self, vectors: Tensor) -> Prefix:
        """Keys and values of the prompt in this order of its rows (P, D)."""
        with torch.inference_mode():
            return self.backbone.read(self.prefix, vectors)

    def patched(
        self, shuffled: Prefix, trained: Prefix, layers: Collection[int], places: Collection[int]
    ) -> Prefix:
        """``shuffled`` with the keys and values of ``trained`` in these layers, at these places
        (counted in virtual tokens)."""
        at = torch.tensor([self.places[place] for place in places], device=self.backbone.device)
        mixed = []
        for layer, (theirs, ours) in enumerate(
            zip(shuffled.keys_values, trained.keys_values, strict=True)
        ):
            if layer in layers:  # (1, heads, L, size) each
                keys, values = (
                    a.index_copy(2, at, b[:, :, at]) for a, b in zip(theirs, ours, strict=True)
                )
                theirs = keys, values
            mixed.append(theirs)
        return replace(shuffled, keys_values=mixed)

    def losses(self, prefix: Prefix) -> NDArray[np.float64]:
        """−log p(right class) of each sentence behind these keys and values: (N,) in nats."""
        with torch.inference_mode():
            scores = scoring.class_scores(
                self.backbone, self.sequences, self.vectors, self.labels, prefix
            ).cpu()
        return scoring.losses_of(scores, self.targets)


def costs_something(trained: NDArray[np.float64], shuffled: NDArray[np.float64]) -> bool:
    """Whether (P, N) losses in a shuffled order are higher on average, so that there is a cost of
    which a patch can restore a share."""
    return bool(shuffled.mean() > trained.mean())


def restored_share(
    trained: NDArray[np.float64], shuffled: NDArray[np.float64], patched: NDArray[np.float64]
) -> Difference:
    """Share of a shuffled order's cost that a patch takes back, with its interval.

    1 is all of it, 0 none; below 0 the patch harms. A ratio of means; its interval is that of
    :func:`pooled_effect` for what is left of each cell when the ratio is taken out of it (the delta
    method).

    Args:
        trained, shuffled, patched: (P, N) losses of P prompts on N sentences.

    Raises:
        LabError: where the shuffled order costs nothing, so that nothing can be restored.
    """
    cost, taken_back = shuffled - trained, shuffled - patched
    if not costs_something(trained, shuffled):
        raise LabError(
            f"the shuffled order costs {cost.mean():.3g} nats, so that there is nothing to "
            "restore; take another order or other prompts"
        )
    share = taken_back.mean() / cost.mean()
    return pooled_effect(share + (taken_back - share * cost) / cost.mean())
