"""Virtual tokens in front of what an encoder–decoder model writes, instead of what it reads.

    [text, </s>] ─▶ encoder ─┐
                             ▼
    [P₁ … P_n, <start>, label pieces] ─▶ decoder ─▶ log-probability of the label

Lester et al. 2021 put the prompt before the encoder's text, PEFT can put one before each half. Here
it is the decoder's alone: the text is read as if there were no prompt, and what the prompt changes
is how the answer is written.

    model = model.with_changes(backbone=DecoderSide.of(model.backbone))
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


class DecoderSide(Seq2SeqBackbone):
    """A view of a sequence-to-sequence model, sharing its weights, whose decoder gets the prompt.

    Templates and prompts are as ever: the leading ``{soft}`` says how many virtual tokens there
    are, and goes to the decoder.
    """

    @classmethod
    def of(cls, backbone: Backbone) -> DecoderSide:
        """The view of a backbone.

        Raises:
            LabError: for a model without a decoder of its own, or one that does not say how its
                targets are laid before the decoder.
        """
        lays = getattr(backbone.model, "prepare_decoder_input_ids_from_labels", None)
        if not isinstance(backbone, Seq2SeqBackbone) or lays is None:
            raise LabError(
                f"{backbone.name} has no decoder that virtual tokens could stand in front of "
                f"({backbone.readout} readout); take a sequence-to-sequence model such as T5"
            )
        view = cls(
            backbone.name,
            backbone.model,
            backbone.tokenizer,
            max_length=backbone.max_length,
            revision=backbone.revision,
            trainable=backbone.trainable,
        )
        view.word_scale, view.pads = backbone.word_scale, backbone.pads
        view.reads_vectors = backbone.reads_vectors
        return view

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        if vectors is None:
            return super().word_scores(batch, None, words)
        count = len(vectors)
        slots = batch.ids < 0  # (B, T)
        if not slots[:, :count].all() or slots[:, count:].any():
            raise LabError(
                "virtual tokens on the decoder's side are one block; write {soft} at the "
                "beginning of the template, and nowhere else"
            )
        ids, mask = batch.ids[:, count:], batch.mask[:, count:]
        encoded = self.reader(inputs_embeds=self.embed_batch(ids, None), attention_mask=mask)
        model: Any = self.model
        table = model.get_decoder().get_input_embeddings()
        scores = []
        for pieces in words:
            target = torch.tensor(self.target(pieces), device=self.device).repeat(len(ids), 1)
            begun = table(model.prepare_decoder_input_ids_from_labels(labels=target))
            block = vectors.to(begun.dtype).expand(len(ids), -1, -1)  # (B, P, D)
            logits = model(
                encoder_outputs=encoded,
                attention_mask=mask,
                decoder_inputs_embeds=torch.cat([block, begun], dim=1),
                use_cache=False,
            ).logits[:, count:]  # (B, K, V)
            taken = logits.float().log_softmax(-1).gather(-1, target[..., None])
            scores.append(taken.sum((-1, -2)))
        return torch.stack(scores, dim=-1)
