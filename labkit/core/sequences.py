"""Sequences on their way to a model: encoded examples, padded batches, and what they begin with.

Virtual tokens are written into the ids themselves: −1−r stands for row r of the prompt. One list
then says everything about a sequence, and two sequences share a leading part exactly where their
lists agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.core.devices import moved

Pieces = tuple[int, ...]
KeysValues = list[tuple[Tensor, Tensor]]
"""Keys and values of a leading part, per layer (1, heads, L, head size), or (M, …) of several."""


class Encoded(NamedTuple):
    """One example under a template.

    ``ids``: token ids, with −1−r standing for row r of the prompt (a virtual token).
    ``answer``: index of the answer slot in ``ids``: the mask token (mlm), the last position
    (causal), −1 where the readout has none.
    ``shortened``: whether the text had to be cut to fit the model.
    """

    ids: Pieces
    answer: int
    shortened: bool = False


@dataclass(frozen=True)
class Prefix:
    """The leading part that sequences share, which the model reads once for all of them.

    Empty where they share nothing, or where the model can't go on from what it has read: the same
    code then takes the plain path.

    Attributes:
        ids: the L token ids of the part, −1−r for row r of the prompt.
        keys_values: what the model keeps of it under one prompt; None before it has been read, see
            :meth:`~labkit.core.backbones.Backbone.read`.
    """

    ids: Pieces = ()
    keys_values: KeysValues | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def rest(self, sequence: Encoded) -> Encoded:
        """The sequence without this part."""
        if not self.ids:
            return sequence
        return Encoded(sequence.ids[len(self) :], sequence.answer - len(self))

    def of(self, prompts: Tensor) -> Prefix:
        """What was read under these of several prompts: (B,), one for each row of a batch."""
        if self.keys_values is None:
            return self
        return replace(self, keys_values=[(k[prompts], v[prompts]) for k, v in self.keys_values])


NO_PREFIX = Prefix()


class Batch(NamedTuple):
    """Sequences padded on the right to one length.

    ``ids``: (B, T) long; a token id, or −1−r for row r of the prompt (a virtual token).
    ``mask``: (B, T) long; 1 for words and virtual tokens, 0 for padding.
    ``answer``: (B,) long; index of the answer slot: the mask token (mlm) or the last position
    (causal); unused by the other readouts.
    ``prefix``: what stands before every row and has been read, see
    :meth:`~labkit.core.backbones.Backbone.read`.
    ``slots``: (S,) rows and (S,) places of the virtual tokens in ``ids``; None where nobody has
    looked, and a device would have to be waited for to know.
    """

    ids: Tensor
    mask: Tensor
    answer: Tensor
    prefix: Prefix = NO_PREFIX
    slots: tuple[Tensor, Tensor] | None = None


def shared_length(sequences: Sequence[Encoded]) -> int:
    """Length of the leading part that all sequences have in common, answer slots left out."""
    shortest = min(sequences, key=lambda sequence: len(sequence.ids))
    limit = min(len(shortest.ids) - 1, *(max(sequence.answer, 0) for sequence in sequences))
    first = sequences[0].ids
    for index in range(limit):
        if any(sequence.ids[index] != first[index] for sequence in sequences):
            return index
    return max(limit, 0)


def collate(sequences: Sequence[Encoded], device: torch.device) -> Batch:
    """Pad on the right to the longest: position ids then count from the left without gaps."""
    length = max(len(sequence.ids) for sequence in sequences)
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = torch.tensor(sequence.ids)
        mask[row, : len(sequence.ids)] = 1
    answer = torch.tensor([sequence.answer for sequence in sequences])
    rows, places = (moved(part, device) for part in (ids < 0).nonzero(as_tuple=True))
    ids, mask, answer = (moved(part, device) for part in (ids, mask, answer))
    return Batch(ids, mask, answer, slots=(rows, places))
