"""Backbones: a frozen language model behind one of four readouts.

A backbone turns input vectors and an answer slot into one number per label word. Which number that
is depends on what the model was trained to do (its *readout*):

=========  ===================  ==============================================================
readout    ``{mask}``           score of a label word
=========  ===================  ==============================================================
mlm        the mask token       its logit there, averaged over its pieces
causal     must come last       log-probability of its pieces, summed
seq2seq    absent or sentinel   log-probability of the label text and </s> from the decoder, summed
encoder    not allowed          scale × cosine(mean-pooled text, mean-pooled label text)
=========  ===================  ==============================================================

Input vectors come from the word-embedding *table* (:meth:`Backbone.embed`), never from an embedding
module's output: BERT would otherwise add positions and LayerNorm twice.

The readouts are in readouts.py, loading in loading.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import transformers
from torch import Tensor, nn

from labkit.core.errors import LabError
from labkit.core.hooks import attending_in_plain_steps
from labkit.core.sequences import NO_PREFIX, Batch, Encoded, Pieces, Prefix

READOUTS = ("mlm", "causal", "seq2seq", "encoder")


class Backbone(nn.Module):
    """A language model, its tokenizer and its readout. Use
    :func:`~labkit.core.loading.load_backbone`.

    Attributes:
        name: the name it was asked for; ``revision``: which exact weights.
        hidden_size: width D of its word embeddings, and so of every prompt for it.
        max_length: positions it can take, virtual tokens included.
        trainable: whether its weights may change (the fine-tuning baseline only).
        has_positions: whether virtual tokens get positions; see :meth:`with_positions`.
    """

    readout: str
    has_positions = True

    def __init__(
        self,
        name: str,
        model: transformers.PreTrainedModel,
        tokenizer: transformers.PreTrainedTokenizerBase,
        *,
        max_length: int,
        revision: str = "",
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.revision, self.trainable = name, revision, trainable
        self.model = model.requires_grad_(trainable)
        self.tokenizer = tokenizer
        self.hidden_size = model.get_input_embeddings().embedding_dim
        self.max_length = max_length
        self.train(False)

    def train(self, mode: bool = True) -> Backbone:
        """Dropout follows ``mode`` only where the weights are trainable: frozen means frozen."""
        return super().train(mode and self.trainable)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def where(self) -> dict[str, str]:
        """Device and precision, as result rows name them."""
        return {"device": str(self.device), "dtype": str(self.dtype).removeprefix("torch.")}

    def embed(self, ids: Tensor) -> Tensor:
        """Rows of the word-embedding table: (…) ids → (…, D)."""
        return self.model.get_input_embeddings()(ids)

    def embed_batch(self, ids: Tensor, vectors: Tensor | None) -> Tensor:
        """Words from the table, virtual tokens from the prompt: (B, T) → (B, T, D).

        Args:
            ids: (B, T), −1−r for row r of ``vectors``.
            vectors: (P, D) virtual tokens, or None where there are none.
        """
        embedded = self.embed(ids.clamp(min=0))  # (B, T, D)
        if vectors is None:
            return embedded
        slots = ids < 0  # (B, T)
        rows = vectors.to(embedded.dtype)[-1 - ids[slots]]  # (S, D), S virtual tokens in the batch
        return embedded.index_put((slots,), rows)

    def with_positions(self, wanted: bool) -> Backbone:
        """The same model, sharing its weights, whose virtual tokens have positions or have none.

        Words keep theirs. Without one, a virtual token loses what its family would add: the
        position's vector (BERT, RoBERTa), the relative bias to and from every other token (T5), or
        its own rotation: causal models give all virtual tokens position id 0, and their mask still
        orders them.

        Raises:
            LabError: for a model whose way of encoding positions is another one.
        """
        if wanted == self.has_positions:
            return self
        view = copy.copy(self)  # the parameters are the same tensors
        view.has_positions = wanted
        if not wanted:
            view._check_removable()
        return view

    def _check_removable(self) -> None:
        """Causal models need nothing but other position ids."""

    def special_tokens(self) -> tuple[list[int], list[int]]:
        """Special tokens that the tokenizer puts before and after a text."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return full[:start], full[start + len(bare) :]

    def prefix_of(self, sequences: Sequence[Encoded]) -> Prefix:
        """What these sequences begin with and the model needs to read but once: nothing here, as
        most models look ahead."""
        return NO_PREFIX

    def read(self, prefix: Prefix, vectors: Tensor | None) -> Prefix:
        """``prefix`` as the model keeps it under one prompt (P, D), differentiable in it."""
        return prefix

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        prefix: Prefix = NO_PREFIX,
    ) -> Tensor:
        """Score of each label word for each sequence: (B, W), differentiable in ``vectors``.

        Args:
            prefix: what stands before every row of the batch, as :meth:`read` returned it.
        """
        raise NotImplementedError

    def combine(self, word_scores: Tensor) -> Tensor:
        """Score of a class from those of its words: (B, w) → (B,). Mean, unless they are
        log-probabilities, which add up as probabilities."""
        return word_scores.mean(-1)

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        """Share of its attention that the answer slot gives to each place: (B, layers, heads, T).

        Shares of a head sum to 1 over the T places. A causal model's answer slot is the last place:
        what comes next is predicted from there.

        Raises:
            LabError: for a readout that has no answer slot in the model's input.
        """
        raise LabError(
            f"{self.name} has no answer slot whose attention could be shown ({self.readout} "
            "readout); take a masked or a causal language model"
        )

    def _attention_at(
        self, batch: Batch, vectors: Tensor | None, position_ids: Tensor | None = None
    ) -> Tensor:
        with torch.no_grad(), attending_in_plain_steps(self.model):
            layers = self.model.base_model(
                inputs_embeds=self.embed_batch(batch.ids, vectors),
                attention_mask=batch.mask,
                output_attentions=True,
                **({} if position_ids is None else {"position_ids": position_ids}),
            ).attentions  # of each layer (B, heads, T, T)
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        return torch.stack([shares[rows, :, batch.answer] for shares in layers], dim=1).float()

    def save(self, folder: str) -> None:
        """Save weights and tokenizer in Hugging Face's own format (for a fine-tuned backbone)."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def describe(self) -> str:
        """One line: what was loaded, on which device, in which precision."""
        millions = sum(p.numel() for p in self.model.parameters()) / 1e6
        state = "trainable" if self.trainable else "frozen"
        return (
            f"{self.name}: {self.readout} readout, {millions:.0f} M parameters ({state}), "
            f"hidden size {self.hidden_size}, {str(self.dtype).removeprefix('torch.')} "
            f"on {self.device}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"
