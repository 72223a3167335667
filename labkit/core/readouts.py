"""The four readouts: how the score of a label word is read off each kind of language model."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import proofs, sets
from labkit.core.backbones import Backbone
from labkit.core.devices import columns, moved
from labkit.core.errors import LabError
from labkit.core.sequences import (
    NO_PREFIX,
    Batch,
    Encoded,
    KeysValues,
    Pieces,
    Prefix,
    collate,
    shared_length,
)

ENCODER_SCALE = 20.0
"""Factor on the cosine of the encoder readout, the usual one of sentence-embedding training (an
inverse temperature of 20). It is fixed: cosines of the label texts differ by a few hundredths, and
without it the softmax over the labels would be flat and the gradients small."""


_LIKELIEST: dict[str, Any] = {
    **{"do_sample": False, "num_beams": 1, "num_return_sequences": 1},
    **{"min_length": 0, "min_new_tokens": None, "forced_eos_token_id": None},
    **{"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "return_dict_in_generate": False},
}
"""Settings of Hugging Face's generation, said in full: what is left out is read from a file beside
the weights, by which BART and its kin write by four beams, at some length, and nothing twice."""


class MaskedBackbone(Backbone):
    """Masked language models (BERT, RoBERTa): the label word's logit at the mask token."""

    readout = "mlm"

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        embedded = self.embed_batch(batch.ids, vectors, batch.slots)  # (B, T, D)
        with self._positions(batch.ids):
            logits = self._logits_at(
                batch.answer[:, None], inputs_embeds=embedded, attention_mask=batch.mask
            )
        return _mean_logits(logits[:, 0], words)

    def plain_scores(self, ids: Pieces, answer: int, words: Sequence[Pieces]) -> Tensor:
        logits = self.model(input_ids=torch.tensor([ids], device=self.device)).logits
        return _mean_logits(logits[:, answer], words)[0]

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        with self._positions(batch.ids):
            return self._attention_at(batch, vectors)


@dataclass
class _PrefixLengths:
    """Lengths of prefix that a model was seen to go on from, and not to."""

    proven: int = 0
    failed: float = math.inf


class CausalBackbone(Backbone):
    """Causal language models (GPT, Llama): log-probability of the label's pieces as continuation.

    Position t attends to positions ≤ t only, so keys and values of a leading part that no example
    changes are the same for all examples: :meth:`read` computes them once, and :meth:`word_scores`
    goes on from them. Families that keep something else (state spaces, convolutions, windows)
    are noticed in :meth:`prefix_of`, which then offers no prefix.
    """

    readout = "causal"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prefixes = {kind: _PrefixLengths() for kind in sets.POSITIONS}

    def prefix_of(self, sequences: Sequence[Encoded]) -> Prefix:
        prefix = Prefix(sequences[0].ids[: shared_length(sequences)])
        lengths = self._prefixes[self.positions]
        if lengths.proven < len(prefix) < lengths.failed:
            longest = max(sequences, key=lambda sequence: len(sequence.ids))
            if proofs.goes_on_from(self, prefix, longest):
                lengths.proven = len(prefix)
            else:
                lengths.failed = len(prefix)
        return prefix if len(prefix) < lengths.failed else NO_PREFIX

    def read(self, prefix: Prefix, vectors: Tensor | None) -> Prefix:
        """Keys and values of the prefix, per layer (1, heads, L, head size), or (M, …) under M
        prompts (M, P, D): what these begin alike is read once, what follows in one batch."""
        if not prefix or prefix.keys_values is not None:
            return prefix
        rows = len(vectors) if vectors is not None and vectors.dim() == 3 else 1
        batch = collate([Encoded(prefix.ids, -1)] * rows, self.device)
        ids, embedded = batch.ids, self.embed_batch(batch.ids, vectors, batch.slots)  # (M, L, D)
        known = NO_PREFIX
        if rows > 1 and (alike := _alike(embedded)):
            first = prefix.ids[:alike]
            known = self._read_on(known, first, ids[:1, :alike], embedded[:1, :alike])
            ids, embedded = ids[:, alike:], embedded[:, alike:]
        return self._read_on(known, prefix.ids, ids, embedded)

    def _read_on(self, known: Prefix, pieces: Pieces, ids: Tensor, embedded: Tensor) -> Prefix:
        """``pieces``, of which ``known`` has been read; the others: ids (M, T), as inputs
        (M, T, D)."""
        # a cache of our own keeps everything, where the model's might keep a window only
        cache = _expanded(known.keys_values or [], len(ids))
        self.model.base_model(
            inputs_embeds=embedded,
            # without a mask, position ids that stand still would be taken for packed texts
            attention_mask=self._seen(ids, torch.ones_like(ids), known),
            past_key_values=cache,
            use_cache=True,
            **self.position_ids(ids, len(known)),
        )
        prefix = Prefix(pieces)
        layers: Any = cache.layers
        kept = [(layer.keys, layer.values) for layer in layers]
        complete = len(kept) == self.text_config.num_hidden_layers
        if not complete or any(part.shape[-2] != len(prefix) for pair in kept for part in pair):
            raise ValueError(f"{self.name} does not keep keys and values of all that it has read")
        return replace(prefix, keys_values=kept)

    def position_ids(self, ids: Tensor, before: int) -> dict[str, Tensor]:
        """(B, T), counted on from ``before``, 0 at virtual tokens; nothing where all tokens have
        positions, which the model then counts by itself."""
        if self.has_positions:
            return {}
        counted = before + torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1)
        return {"position_ids": counted.masked_fill(ids < 0, 0)}

    def _seen(self, ids: Tensor, mask: Tensor, prefix: Prefix) -> Tensor:
        """Which places are words or virtual tokens, the prefix included (B, L+T); where virtual
        tokens are a set, what each place sees of them (B, 1, T, L+T)."""
        known = mask.new_ones(len(ids), len(prefix))
        present = torch.cat([known, mask], dim=1)
        if self.positions != sets.SET or not bool((ids < 0).any()):
            return present
        before = torch.tensor(prefix.ids, dtype=ids.dtype, device=ids.device)
        return sets.seen(torch.cat([before.expand(len(ids), -1), ids], dim=1), present, self.dtype)[
            :, :, len(prefix) :
        ]

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        scores: list[Tensor | None] = [None] * len(words)
        for start in dict.fromkeys(pieces[:-1] for pieces in words):
            # words that share all pieces but the last are read from one pass
            log_probs = self._continuation(batch, vectors, start)  # (B, len(start)+1, V)
            known = sum(log_probs[:, i, piece] for i, piece in enumerate(start))
            for index, pieces in enumerate(words):
                if pieces[:-1] == start:
                    scores[index] = known + log_probs[:, -1, pieces[-1]]
        return torch.stack(scores, dim=-1)

    def combine(self, word_scores: Tensor) -> Tensor:
        return word_scores.logsumexp(-1)

    def plain_scores(self, ids: Pieces, answer: int, words: Sequence[Pieces]) -> Tensor:
        @functools.cache
        def next_piece(known: Pieces) -> Tensor:
            logits = self.model(input_ids=torch.tensor([known], device=self.device)).logits
            return logits[0, -1].float().log_softmax(-1)  # (V,)

        def log_probability(pieces: Pieces) -> Tensor:
            # piece after piece, so that a model which looks ahead is noticed
            return torch.stack([next_piece((*ids, *pieces[:i]))[p] for i, p in enumerate(pieces)])

        return torch.stack([log_probability(pieces).sum() for pieces in words])

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        seen = self._seen(batch.ids, batch.mask, NO_PREFIX)
        places = self.position_ids(batch.ids, 0)
        return self._attention_at(batch, vectors, attention_mask=seen, **places)

    def _continuation(self, batch: Batch, vectors: Tensor | None, start: Pieces) -> Tensor:
        """Log-probabilities of the next piece, at the answer slot and after each piece of
        ``start`` laid behind it: (B, len(start)+1, V)."""
        ids, mask, slots = _continued(batch, start)
        prefix = batch.prefix
        before, rows = len(prefix), len(ids)
        logits = self._logits_at(
            slots,
            inputs_embeds=self.embed_batch(ids, vectors, batch.slots),
            attention_mask=self._seen(ids, mask, prefix),
            past_key_values=_expanded(prefix.keys_values, rows) if prefix else None,
            use_cache=bool(prefix),
            **self.position_ids(ids, before),
        )
        return logits.float().log_softmax(-1)


class Seq2SeqBackbone(Backbone):
    """Encoder–decoder models (T5, BART): log-probability of the label text from the decoder.

    The target of a label is what the tokenizer writes for it: its pieces and the end token for T5,
    as in T5's own training (Lester et al. 2021, section 2), a start token or a language code too
    where the family has one; a sentinel in front, where wanted, is part of the pieces.
    """

    readout = "seq2seq"

    @property
    def reader(self) -> nn.Module:
        return self.model.get_encoder()

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        read = self._read(batch, vectors)
        scores = [self._target_score(pieces, len(batch.ids), **read) for pieces in words]
        return torch.stack(scores, dim=-1)

    def write(self, batch: Batch, vectors: Tensor | None, pieces: int) -> Tensor:
        """The likeliest piece each time, until the model ends or there are ``pieces``: (B, ≤ K)."""
        writer: Any = self.model
        return writer.generate(**self._read(batch, vectors), max_new_tokens=pieces, **_LIKELIEST)

    def first_written(self, virtual_tokens: int) -> int:
        """Where the decoder's place is that writes the first piece of the answer."""
        return 0

    def _read(self, batch: Batch, vectors: Tensor | None) -> dict[str, Any]:
        """What the decoder is told of the texts."""
        with self._positions(batch.ids):
            encoded = self.reader(
                inputs_embeds=self.embed_batch(batch.ids, vectors, batch.slots),
                attention_mask=batch.mask,
            )
        return {"encoder_outputs": encoded, "attention_mask": batch.mask}

    def combine(self, word_scores: Tensor) -> Tensor:
        return word_scores.logsumexp(-1)

    def plain_scores(self, ids: Pieces, answer: int, words: Sequence[Pieces]) -> Tensor:
        source = torch.tensor([ids], device=self.device)
        return torch.cat([self._target_score(pieces, 1, input_ids=source) for pieces in words])

    def target(self, pieces: Pieces) -> Pieces:
        """The label's pieces between the special tokens that the tokenizer writes for a target.

        Raises:
            LabError: for a tokenizer that writes no target.
        """
        try:
            bare = self.tokenizer(text_target="a", add_special_tokens=False)["input_ids"]
            full = self.tokenizer(text_target="a")["input_ids"]
        except (KeyError, ValueError, TypeError) as error:
            raise LabError(
                f"the tokenizer of {self.name} writes no target ({type(error).__name__}: {error}); "
                "save it with its target language set (tgt_lang), or use another model"
            ) from error
        before, after = self._around(bare, full)
        return (*before, *pieces, *after)

    def _target_score(self, pieces: Pieces, rows: int, **inputs: Any) -> Tensor:
        target = moved(torch.tensor(self.target(pieces)), self.device).repeat(rows, 1)  # (B, K)
        log_probs = self._target_logits(target, **inputs).float().log_softmax(-1)
        return log_probs.gather(-1, target[..., None]).sum((-1, -2))

    def _target_logits(self, target: Tensor, **inputs: Any) -> Tensor:
        """The decoder's scores of the vocabulary at each place of ``target`` (B, K): (B, K, V)."""
        # how a target is laid before the decoder is the family's own affair
        shift = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        laid = {"labels": target} if shift is None else {"decoder_input_ids": shift(labels=target)}
        return self.model(**inputs, **laid, use_cache=False).logits


class EncoderBackbone(Backbone):
    """Text encoders without a word-predicting head (MiniLM): cosine with the label text.

    Text side: mean over every token that is a word or a special token; virtual tokens steer the
    others through attention but are not pooled themselves, or they could write the answer directly.
    Label side: the label text embedded alone, without any prompt, once.
    """

    readout = "encoder"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._label_cache: dict[tuple[Pieces, ...], Tensor] = {}

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        embedded = self.embed_batch(batch.ids, vectors, batch.slots)  # (B, T, D)
        with self._positions(batch.ids):
            output = self.run(inputs_embeds=embedded, attention_mask=batch.mask)
        pooled = mean_pooled(output.last_hidden_state, batch.mask * (batch.ids >= 0))  # (B, D)
        return ENCODER_SCALE * pooled @ self.label_vectors(tuple(words)).T  # (B, W)

    def plain_scores(self, ids: Pieces, answer: int, words: Sequence[Pieces]) -> Tensor:
        source = torch.tensor([ids], device=self.device)
        hidden = self.model(input_ids=source).last_hidden_state
        pooled = mean_pooled(hidden, torch.ones_like(source))
        return (ENCODER_SCALE * pooled @ self.label_vectors(tuple(words)).T)[0]

    def label_vectors(self, words: tuple[Pieces, ...]) -> Tensor:
        """Unit vectors of the label texts: (W, D)."""
        if self.trainable:  # the label side moves with the weights
            return self._embed_labels(words)
        if words not in self._label_cache:
            # kept for training too, so not as a tensor of the inference mode that scoring runs in
            with torch.inference_mode(False), torch.no_grad():
                self._label_cache[words] = self._embed_labels(words)
        return self._label_cache[words].to(self.device)  # it may have moved meanwhile

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


def _mean_logits(logits: Tensor, words: Sequence[Pieces]) -> Tensor:
    """A word's logit, averaged over its pieces: (B, V) → (B, W), fp32."""
    logits = logits.float()
    return torch.stack([columns(logits, pieces).mean(-1) for pieces in words], dim=-1)


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
    pieces = moved(torch.tensor(start), ids.device).expand(len(ids), -1)  # (B, k)
    return ids.scatter(1, slots[:, 1:], pieces), mask.scatter(1, slots[:, 1:], 1), slots


def _alike(embedded: Tensor) -> int:
    """How many places, from the left, hold the same input in all rows of (M, T, D); not all T."""
    differs = (embedded != embedded[:1]).any(-1).any(0)  # (T,)
    return int(differs.nonzero()[0]) if differs.any() else embedded.shape[1] - 1


def _expanded(keys_values: KeysValues, rows: int) -> transformers.DynamicCache:
    cache = transformers.DynamicCache()
    for layer, (keys, values) in enumerate(keys_values):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache
