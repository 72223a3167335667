"""The four readouts: how the score of a label word is read off each kind of language model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.hooks import hooked, only_at
from labkit.core.sequences import (
    NO_PREFIX,
    Batch,
    Encoded,
    KeysValues,
    Pieces,
    Prefix,
    shared_length,
)

ENCODER_SCALE = 20.0
"""Factor on the cosine of the encoder readout, the usual one of sentence-embedding training (an
inverse temperature of 20). It is fixed: cosines of the label texts differ by a few hundredths, and
without it the softmax over the labels would be flat and the gradients small."""


class _WithPositionTable(Backbone):
    """Models that add a learned vector per position to the embedded words (BERT, RoBERTa)."""

    def _check_removable(self) -> None:
        self._position_table()

    def _position_table(self) -> nn.Module:
        embeddings = getattr(self.model.base_model, "embeddings", None)
        table = getattr(embeddings, "position_embeddings", None)
        if not isinstance(table, nn.Embedding):
            raise LabError(
                f"{self.name} keeps no table of positions that could be left out for virtual "
                "tokens; models of the BERT and RoBERTa families do"
            )
        return table

    def _positions(self, ids: Tensor) -> contextlib.AbstractContextManager:
        """Within the block the model adds no position vectors at virtual tokens of ``ids``.

        Leaving them out is exact; subtracting them from the input beforehand is so up to rounding
        only, and in bf16 that rounding would depend on the order.
        """
        if self.has_positions or not (ids < 0).any():
            return contextlib.nullcontext()
        slots = (ids < 0)[..., None]  # (B, T, 1)

        def leave_out(_module: nn.Module, _inputs: object, added: Tensor) -> Tensor:
            return added.expand(len(ids), -1, -1).masked_fill(slots, 0.0)  # (1, T, D) → (B, T, D)

        return hooked(self._position_table().register_forward_hook(leave_out))


class MaskedBackbone(_WithPositionTable):
    """Masked language models (BERT, RoBERTa): the label word's logit at the mask token."""

    readout = "mlm"

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        prefix: Prefix = NO_PREFIX,
    ) -> Tensor:
        embedded = self.embed_batch(batch.ids, vectors)  # (B, T, D)
        with self._positions(batch.ids), only_at(self.model, batch.answer[:, None]):
            logits = self.model(inputs_embeds=embedded, attention_mask=batch.mask).logits
        logits = logits[:, 0].float()  # (B, V)
        return torch.stack([logits[:, list(pieces)].mean(-1) for pieces in words], dim=-1)

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        with self._positions(batch.ids):
            return self._attention_at(batch, vectors)


class CausalBackbone(Backbone):
    """Causal language models (GPT, Llama): log-probability of the label's pieces as continuation.

    Position t attends to positions ≤ t only, so keys and values of a leading part that no example
    changes are the same for all examples: :meth:`read` computes them once, and :meth:`word_scores`
    continues from them.
    """

    readout = "causal"

    def prefix_of(self, sequences: Sequence[Encoded]) -> Prefix:
        return Prefix(sequences[0].ids[: shared_length(sequences)])

    def read(self, prefix: Prefix, vectors: Tensor | None) -> Prefix:
        """Keys and values of the prefix, per layer (1, heads, L, head size)."""
        if not prefix or prefix.keys_values is not None:
            return prefix
        ids = torch.tensor([prefix.ids], device=self.device)  # (1, L)
        cache = self.model.base_model(
            inputs_embeds=self.embed_batch(ids, vectors),  # (1, L, D)
            # without a mask, position ids that stand still would be taken for packed texts
            attention_mask=torch.ones_like(ids),
            position_ids=self._position_ids(ids, 0),
            use_cache=True,
        ).past_key_values
        return replace(prefix, keys_values=[(layer.keys, layer.values) for layer in cache.layers])

    def _position_ids(self, ids: Tensor, before: int) -> Tensor:
        """(B, T): counted on from ``before``; 0 at virtual tokens that have no positions."""
        counted = before + torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1)
        return counted if self.has_positions else counted.masked_fill(ids < 0, 0)

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        prefix: Prefix = NO_PREFIX,
    ) -> Tensor:
        scores: list[Tensor | None] = [None] * len(words)
        for start in dict.fromkeys(pieces[:-1] for pieces in words):
            # words that share all pieces but the last are read from one pass
            log_probs = self._continuation(batch, vectors, start, prefix)  # (B, len(start)+1, V)
            known = sum(log_probs[:, i, piece] for i, piece in enumerate(start))
            for index, pieces in enumerate(words):
                if pieces[:-1] == start:
                    scores[index] = known + log_probs[:, -1, pieces[-1]]
        return torch.stack(scores, dim=-1)

    def combine(self, word_scores: Tensor) -> Tensor:
        return word_scores.logsumexp(-1)

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        return self._attention_at(batch, vectors, self._position_ids(batch.ids, 0))

    def _continuation(
        self, batch: Batch, vectors: Tensor | None, start: Pieces, prefix: Prefix
    ) -> Tensor:
        """Log-probabilities of the next piece, at the answer slot and after each piece of
        ``start`` laid behind it: (B, len(start)+1, V)."""
        ids, mask, slots = _continued(batch, start)
        before, rows = len(prefix), len(ids)
        full_mask = torch.cat([mask.new_ones(rows, before), mask], dim=1)  # (B, L+T)
        with only_at(self.model, slots):
            logits = self.model(
                inputs_embeds=self.embed_batch(ids, vectors),
                attention_mask=full_mask,
                position_ids=self._position_ids(ids, before),
                past_key_values=_expanded(prefix.keys_values, rows) if prefix else None,
                use_cache=bool(prefix),
            ).logits
        return logits.float().log_softmax(-1)


class Seq2SeqBackbone(Backbone):
    """Encoder–decoder models (T5): log-probability of the label text from the decoder.

    The target of a label is its pieces and the end token, as in T5's own training (Lester et al.
    2021, section 2); a sentinel in front, where wanted, is part of the pieces.
    """

    readout = "seq2seq"

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        prefix: Prefix = NO_PREFIX,
    ) -> Tensor:
        with self._relative_bias(batch.ids):
            encoded = self.model.get_encoder()(
                inputs_embeds=self.embed_batch(batch.ids, vectors), attention_mask=batch.mask
            )
        end = self.tokenizer.eos_token_id
        return torch.stack(
            [self._target(encoded, batch.mask, (*pieces, end)) for pieces in words], dim=-1
        )

    def combine(self, word_scores: Tensor) -> Tensor:
        return word_scores.logsumexp(-1)

    def _check_removable(self) -> None:
        self._first_attention()

    def _first_attention(self) -> nn.Module:
        """The encoder's first self-attention, whose relative bias all layers share."""
        try:
            attention = self.model.get_encoder().block[0].layer[0].SelfAttention
            attention.compute_bias  # noqa: B018, another family may lack it
            return attention
        except AttributeError as error:
            raise LabError(
                f"{self.name} has no relative attention bias that could be left out for virtual "
                "tokens; models of the T5 family do"
            ) from error

    @contextlib.contextmanager
    def _relative_bias(self, ids: Tensor) -> Iterator[None]:
        """Within the block the bias is 0 to and from virtual tokens of ``ids``."""
        if self.has_positions:
            yield
            return
        slots = ids < 0  # (B, T)
        touched = (slots[:, :, None] | slots[:, None, :])[:, None]  # (B, 1, T, T)
        attention = self._first_attention()
        plain = attention.compute_bias

        def leave_out(*args: object, **kwargs: object) -> Tensor:
            return plain(*args, **kwargs).masked_fill(touched, 0.0)  # (B, heads, T, T)

        attention.compute_bias = leave_out  # shadows the method for this object
        try:
            yield
        finally:
            del attention.compute_bias

    def _target(self, encoded: object, mask: Tensor, target: Pieces) -> Tensor:
        start = self.model.config.decoder_start_token_id
        target_ids = torch.tensor(target, device=mask.device)  # (K,)
        inputs = torch.tensor((start, *target[:-1]), device=mask.device)
        logits = self.model(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=inputs.expand(len(mask), -1),
            use_cache=False,
        ).logits  # (B, K, V)
        log_probs = logits.float().log_softmax(-1)
        return log_probs.gather(-1, target_ids.expand(len(mask), -1)[..., None]).sum((-1, -2))


class EncoderBackbone(_WithPositionTable):
    """Text encoders without a word-predicting head (MiniLM): cosine with the label text.

    Text side: mean over every token that is a word or a special token; virtual tokens steer the
    others through attention but are not pooled themselves, or they could write the answer directly.
    Label side: the label text embedded alone, without any prompt, once.
    """

    readout = "encoder"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._label_cache: dict[tuple[Pieces, ...], Tensor] = {}

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        prefix: Prefix = NO_PREFIX,
    ) -> Tensor:
        embedded = self.embed_batch(batch.ids, vectors)  # (B, T, D)
        with self._positions(batch.ids):
            output = self.model(inputs_embeds=embedded, attention_mask=batch.mask)
        hidden = output.last_hidden_state
        pooled = mean_pooled(hidden, batch.mask * (batch.ids >= 0))  # (B, D)
        return ENCODER_SCALE * pooled @ self.label_vectors(tuple(words)).T  # (B, W)

    def label_vectors(self, words: tuple[Pieces, ...]) -> Tensor:
        """Unit vectors of the label texts: (W, D)."""
        if self.trainable:  # the label side moves with the weights
            return self._embed_labels(words)
        if words not in self._label_cache:
            # kept for training too, so not as a tensor of the inference mode that scoring runs in
            with torch.inference_mode(False), torch.no_grad():
                self._label_cache[words] = self._embed_labels(words)
        return self._label_cache[words]

    def _embed_labels(self, words: tuple[Pieces, ...]) -> Tensor:
        before, after = self.special_tokens()
        vectors = []
        for pieces in words:
            ids = torch.tensor([[*before, *pieces, *after]], device=self.device)  # (1, K)
            hidden = self.model(input_ids=ids).last_hidden_state
            vectors.append(mean_pooled(hidden, torch.ones_like(ids)))
        return torch.cat(vectors)


def mean_pooled(hidden: Tensor, weights: Tensor) -> Tensor:
    """Unit-length mean of the hidden states where ``weights`` is 1: (B, T, D) → (B, D), fp32."""
    weights = weights[..., None].float()  # (B, T, 1)
    mean = (hidden.float() * weights).sum(1) / weights.sum(1)
    return F.normalize(mean, dim=-1)


def _continued(batch: Batch, start: Pieces) -> tuple[Tensor, Tensor, Tensor]:
    """``start`` laid behind the answer slot of every row.

    Returns:
        ids (B, T+k), mask (B, T+k), slots (B, k+1): where the next piece is predicted.
    """
    steps = torch.arange(len(start) + 1, device=batch.ids.device)
    slots = batch.answer[:, None] + steps  # (B, k+1)
    if not start:
        return batch.ids, batch.mask, slots
    extra = len(start)
    ids = F.pad(batch.ids, (0, extra))
    mask = F.pad(batch.mask, (0, extra))
    pieces = torch.tensor(start, device=ids.device).expand(len(ids), -1)  # (B, k)
    return ids.scatter(1, slots[:, 1:], pieces), mask.scatter(1, slots[:, 1:], 1), slots


def _expanded(keys_values: KeysValues, rows: int) -> transformers.DynamicCache:
    cache = transformers.DynamicCache()
    for layer, (keys, values) in enumerate(keys_values):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache
