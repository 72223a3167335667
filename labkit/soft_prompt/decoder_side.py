"""Virtual tokens in front of what an encoder–decoder model writes, instead of what it reads.

    [text, </s>] ─▶ encoder ─┐
                             ▼
    [P₁ … P_n, <start>, label pieces] ─▶ decoder ─▶ log-probability of the label

Lester et al. 2021 put the prompt before the encoder's text, PEFT can put one before each half. Here
it is the decoder's alone: the text is read as if there were no prompt, and what the prompt changes
is how the answer is written.

    model = model.with_changes(backbone=DecoderSide.of(model.backbone))

A prompt that is saved from such a model says so in its card, and opens there again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.readouts import Seq2SeqBackbone
from labkit.core.sequences import Batch, Pieces
from labkit.core.sets import SET, Positions


class DecoderSide(Seq2SeqBackbone):
    """A view of a sequence-to-sequence model, sharing its weights, whose decoder gets the prompt.

    Templates and prompts are as ever: the leading ``{soft}`` says how many virtual tokens there
    are, and goes to the decoder. They have positions there, as the words that follow them do.
    """

    side = "decoder"

    @classmethod
    def of(cls, backbone: Backbone) -> DecoderSide:
        """The view of a backbone.

        Raises:
            LabError: for a model without a decoder of its own, one that does not say how its
                targets are laid before the decoder, or a view without positions.
        """
        lays = getattr(backbone.model, "prepare_decoder_input_ids_from_labels", None)
        if not isinstance(backbone, Seq2SeqBackbone) or lays is None:
            raise LabError(
                f"{backbone.name} has no decoder that virtual tokens could stand in front of "
                f"({backbone.readout} readout); take a sequence-to-sequence model such as T5"
            )
        _require_positions(backbone, backbone.positions)
        view = cls.__new__(cls)
        view.__dict__.update(backbone.__dict__)  # the weights, and all that is known of the model
        return view

    def with_positions(self, wanted: Positions) -> Backbone:
        """The view itself.

        Raises:
            LabError: for anything but True: what is left out elsewhere are the encoder's positions.
        """
        _require_positions(self, wanted)
        return super().with_positions(wanted)

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        if vectors is None:
            return super().word_scores(batch, None, words)
        count = vectors.shape[-2]
        slots = batch.ids < 0  # (B, T)
        if not slots[:, :count].all() or slots[:, count:].any():
            raise LabError(
                "virtual tokens on the decoder's side are one block; write {soft} at the "
                "beginning of the template, and nowhere else"
            )
        ids, mask = batch.ids[:, count:], batch.mask[:, count:]
        encoded = self.reader(inputs_embeds=self.embed_batch(ids, None), attention_mask=mask)
        scores = [
            self._target_score(
                pieces, len(ids), encoder_outputs=encoded, attention_mask=mask, vectors=vectors
            )
            for pieces in words
        ]
        return torch.stack(scores, dim=-1)

    def write(self, batch: Batch, vectors: Tensor | None, pieces: int) -> Tensor:
        """As without virtual tokens.

        Raises:
            LabError: with some: transformers writes behind words, not behind vectors.
        """
        if vectors is not None:
            raise LabError(
                f"virtual tokens in front of the decoder of {self.name} are scored, not written "
                "behind; to have an answer written, put the prompt on the encoder's side"
            )
        return super().write(batch, None, pieces)

    def first_written(self, virtual_tokens: int) -> int:
        return virtual_tokens

    def _target_logits(
        self, target: Tensor, *, vectors: Tensor | None = None, **inputs: Any
    ) -> Tensor:
        if vectors is None:
            return super()._target_logits(target, **inputs)
        model: Any = self.model
        table = model.get_decoder().get_input_embeddings()
        begun = table(model.prepare_decoder_input_ids_from_labels(labels=target))
        block = vectors.to(begun.dtype).expand(len(target), -1, -1)  # (B, P, D)
        read = torch.cat([block, begun], dim=1)  # (B, P + K, D)
        return model(**inputs, decoder_inputs_embeds=read, use_cache=False).logits[
            :, vectors.shape[-2] :
        ]


def _require_positions(backbone: Backbone, wanted: Positions) -> None:
    if wanted in (False, SET):
        raise LabError(
            f"positions={wanted!r}: virtual tokens in front of the decoder of {backbone.name} keep "
            "their positions and their order; take positions=True, or the encoder's side"
        )
