"""Backbones: a frozen language model behind one of four readouts.

A backbone turns input vectors and an answer slot into one number per label word. Which number that
is depends on what the model was trained to do (its *readout*):

=========  ===================  ==============================================================
readout    ``{mask}``           score of a label word
=========  ===================  ==============================================================
mlm        the mask token       its logit there, averaged over its pieces
causal     must come last       log-probability of its pieces, summed
seq2seq    absent or sentinel   log-probability of the target that the tokenizer writes, summed
encoder    not allowed          scale × cosine(mean-pooled text, mean-pooled label text)
=========  ===================  ==============================================================

Input vectors are what the model's word-embedding *module* makes of token ids
(:meth:`Backbone.embed`), before positions and LayerNorm: BERT would otherwise add those twice.

The readouts are in readouts.py, loading in loading.py. What a family does differently is not listed
here but seen: proofs.py holds every loaded model against its own plain forward pass.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from labkit.core import positions, sets
from labkit.core.devices import called
from labkit.core.errors import LabError
from labkit.core.hooks import attending_in_plain_steps, only_at
from labkit.core.sequences import NO_PREFIX, Batch, Encoded, Pieces, Prefix
from labkit.core.sets import SET, Positions


class Backbone(nn.Module):
    """A language model, its tokenizer and its readout. Use
    :func:`~labkit.core.loading.load_backbone`.

    Attributes:
        name: the name it was asked for; ``revision``: which exact weights.
        hidden_size: width D of its word embeddings, and so of every prompt for it.
        max_length: positions it can take, virtual tokens included.
        trainable: whether its weights may change (the fine-tuning baseline only).
        positions: what virtual tokens get, True, False or ``set``; see :meth:`with_positions`.
        side: which part of the model virtual tokens stand in front of, where it is another than
            the one that reads the text; empty for every model as it is loaded.
        word_scale: factor between what the embedding module gives for an id and what the model
            makes of that id; 1 but for families that scale words outside the module (Marian).
        body: name of the submodule whose output the head reads, and reads place by place; None
            where no such module was found, and the head runs at every place.
        pads: whether padding behind a text leaves its scores alone.
        reads_vectors: whether it reads input vectors that no token has, as virtual tokens are.
    """

    readout: str
    positions: Positions = True
    side = ""
    word_scale = 1.0
    pads = True
    reads_vectors = True
    hidden_size: int
    body: str | None

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
        table: Any = model.get_input_embeddings()
        self.hidden_size = table.embedding_dim
        self.max_length = max_length
        self.body = _name_of(model, model.base_model)
        self.removable: dict[str, bool] = {}  # one for all views, see positions.py
        self._takes = frozenset(inspect.signature(model.forward).parameters)
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
        return {"device": called(self.device), "dtype": str(self.dtype).removeprefix("torch.")}

    @property
    def text_config(self) -> transformers.PretrainedConfig:
        """The configuration of the part that reads the text: of the encoder, where there are two
        parts, and without that of a vision tower."""
        config = self.model.config
        if isinstance(getattr(config, "encoder", None), transformers.PretrainedConfig):
            return config.encoder
        return config.get_text_config()

    @property
    def rows(self) -> int:
        """Rows of the word-embedding table: token ids from there on mean nothing to the model."""
        table: Any = self.model.get_input_embeddings()
        return table.weight.shape[0]

    def check_known(self, ids: Sequence[int]) -> None:
        """Whether the model has an embedding for each token id.

        Raises:
            LabError: for a token that was added to the tokenizer after the model was made.
        """
        highest = max(ids, default=0)
        if highest >= self.rows:
            token = self.tokenizer.convert_ids_to_tokens(highest)
            raise LabError(
                f"the tokenizer of {self.name} cuts {token!r} (token {highest}), and the model has "
                f"embeddings for {self.rows} tokens only; save the model again after "
                "resize_token_embeddings, or take the tokenizer that it was made with"
            )

    def known_ids(self) -> list[int]:
        """Token ids that both the tokenizer and the model know, in ascending order.

        Tables are often padded to a round number of rows; those behind the last token mean nothing.
        Nor do those that a vocabulary leaves out, as one does that was pruned.
        """
        return sorted({n for n in self.tokenizer.get_vocab().values() if n < self.rows})

    def embed(self, ids: Tensor) -> Tensor:
        """What the word-embedding module gives for token ids: (…) → (…, D)."""
        return self.model.get_input_embeddings()(ids)

    def embed_batch(
        self,
        ids: Tensor,
        vectors: Tensor | None,
        slots: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Words from the embedding module, virtual tokens from the prompt: (B, T) → (B, T, D).

        Without virtual tokens a hard prompt's words are as strong as the model itself makes them.
        Beside virtual tokens they are as the module gives them, which is Hugging Face's
        ``inputs_embeds`` and what PEFT trains: the same but for the families that scale words
        outside that module.

        Args:
            ids: (B, T), −1−r for row r of ``vectors``.
            vectors: (P, D) virtual tokens, (B, P, D) where each row has its own, or None where
                there are none.
            slots: (S,) rows and (S,) places of the virtual tokens in ``ids``, where they are known.

        Raises:
            LabError: for virtual tokens before a model that reads tokens only.
        """
        embedded = self.embed(ids.clamp(min=0))  # (B, T, D)
        if vectors is None:
            return embedded if self.word_scale == 1 else embedded * self.word_scale
        if not self.reads_vectors:
            raise LabError(
                f"{self.name} ({type(self.model).__name__}) needs the token behind each input "
                "vector, and a virtual token has none; use a hard prompt, or another model"
            )
        if slots is None:
            row, place = (ids < 0).nonzero(as_tuple=True)  # (S,), S slots in the batch
        else:
            row, place = slots
        if self.positions == SET:
            vectors = sets.in_canonical_order(vectors)
        given, number = vectors.to(embedded.dtype), -1 - ids[row, place]  # (S,)
        chosen = given[number] if given.dim() == 2 else given[row, number]  # (S, D)
        return embedded.index_put((row, place), chosen)

    @property
    def has_positions(self) -> bool:
        """Whether virtual tokens get positions."""
        return self.positions is True

    def with_positions(self, wanted: Positions) -> Backbone:
        """The same model, sharing its weights, whose virtual tokens have positions or have none.

        Words keep theirs. Without one, a virtual token loses what its family would add: the
        position's vector (BERT, RoBERTa), the relative bias to and from every other token (T5), or
        its own rotation: causal models give all virtual tokens position id 0, and their mask still
        orders them. With ``set`` it no longer does: virtual tokens have no positions, and those of
        a causal model don't see each other, see sets.py.

        Raises:
            LabError: for a model that is not seen to lose all of them, see positions.py.
        """
        if wanted not in sets.POSITIONS:
            raise LabError(f"positions={wanted!r} is unknown; choose True, False or {SET!r}")
        wanted = SET if wanted == SET else bool(wanted)  # 0 and 1 are those, too
        if wanted == self.positions:
            return self
        view = copy.copy(self)  # the parameters are the same tensors
        view.positions = wanted
        if wanted is False:
            positions.check_removable(view)
        if wanted == SET:
            sets.check_readable(view)
        return view

    def _positions(self, ids: Tensor) -> contextlib.AbstractContextManager:
        """Within the block virtual tokens of ``ids`` (B, T) have the positions that they should."""
        if self.has_positions or not bool((ids < 0).any()):
            return contextlib.nullcontext()
        return positions.left_out(self.reader, ids < 0)

    @property
    def reader(self) -> nn.Module:
        """The part of the model that reads the text: its encoder, where it has one of its own."""
        return self.model.base_model

    def special_tokens(self) -> tuple[list[int], list[int]]:
        """Special tokens that the tokenizer puts before and after a text."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        return self._around(bare, self.tokenizer("a")["input_ids"])

    def _around(self, bare: list[int], full: list[int]) -> tuple[list[int], list[int]]:
        for start in range(len(full) - len(bare) + 1):
            if bare and full[start : start + len(bare)] == bare:
                return full[:start], full[start + len(bare) :]
        raise LabError(
            f"the tokenizer of {self.name} cuts a text into other pieces where it adds its special "
            "tokens, so their places are unknown; use another model"
        )

    def special_id(self, name: str, spoken: str) -> int:
        """Id of a special token by the tokenizer's name for it, such as ``mask_token_id``.

        Raises:
            LabError: for a tokenizer without one; ``spoken`` is what the error calls it.
        """
        token = getattr(self.tokenizer, name)
        if token is None:
            raise LabError(f"the tokenizer of {self.name} has no {spoken}; use another layout")
        return token

    def ordinary_ids(self, count: int) -> list[int]:
        """``count`` token ids that are no special tokens, always the same, drawn from all."""
        special = set(self.tokenizer.all_special_ids)
        usable = torch.tensor([number for number in self.known_ids() if number not in special])
        order = torch.randperm(len(usable), generator=torch.Generator().manual_seed(0))
        return usable[order].repeat(-(-count // len(usable)))[:count].tolist()

    def plain_scores(self, ids: Pieces, answer: int, words: Sequence[Pieces]) -> Tensor:
        """As :meth:`word_scores` (W,), by the model's own forward pass on the token ids of one
        text: no embedded input, no batch, no cache, the head at every place. For comparison."""
        raise NotImplementedError

    def run(self, **inputs: object) -> Any:
        """The model's output for those of ``inputs`` that its family knows."""
        return self.model(**{name: given for name, given in inputs.items() if name in self._takes})

    def _logits_at(self, slots: Tensor, **inputs: object) -> Tensor:
        """The head's output at ``slots`` (B, k) alone: (B, k, V)."""
        if self.body is not None:
            with only_at(self.model.get_submodule(self.body), slots):
                logits = self.run(**inputs).logits
            if logits.shape[1] != slots.shape[1]:  # the head has read another module
                raise IndexError(f"{self.body} is not what the head of {self.name} reads")
            return logits
        logits = self.run(**inputs).logits  # (B, T, V)
        return logits.gather(1, slots[..., None].expand(-1, -1, logits.shape[-1]))

    def prefix_of(self, sequences: Sequence[Encoded]) -> Prefix:
        """What these sequences begin with and the model needs to read but once: nothing here, as
        most models look ahead."""
        return NO_PREFIX

    def read(self, prefix: Prefix, vectors: Tensor | None) -> Prefix:
        """``prefix`` as the model keeps it under one prompt (P, D), differentiable in it, or under
        each of several (M, P, D)."""
        return prefix

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        """Score of each label word for each sequence: (B, W), differentiable in ``vectors``."""
        raise NotImplementedError

    def combine(self, word_scores: Tensor) -> Tensor:
        """Score of a class from those of its words: (B, w) → (B,). Mean, unless they are
        log-probabilities, which add up as probabilities."""
        return word_scores.mean(-1)

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        """Share of its attention that the answer slot gives to each place: (B, layers, heads, T).

        Shares of a head sum to 1 over the T places; that of a virtual token stands at the slot of
        its own row, also where the model reads them as a set. A causal model's answer slot is the
        last place: what comes next is predicted from there.

        Raises:
            LabError: for a readout that has no answer slot in the model's input.
        """
        raise LabError(
            f"{self.name} has no answer slot whose attention could be shown ({self.readout} "
            "readout); take a masked or a causal language model"
        )

    def _attention_at(self, batch: Batch, vectors: Tensor | None, **laid: Tensor) -> Tensor:
        """``laid``: where the places are and what they see, if not as the batch says."""
        with torch.no_grad(), attending_in_plain_steps(self.model):
            layers = self.model.base_model(
                inputs_embeds=self.embed_batch(batch.ids, vectors, batch.slots),
                output_attentions=True,
                **({"attention_mask": batch.mask} | laid),
            ).attentions  # of each layer (B, heads, T, T)
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        shares = torch.stack([every[rows, :, batch.answer] for every in layers], dim=1).float()
        if vectors is None or self.positions != SET:
            return shares
        return sets.at_own_slots(shares, batch.ids, vectors)

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


def _name_of(model: nn.Module, part: nn.Module) -> str:
    """Under which name ``part`` stands in ``model``, as ``get_submodule`` knows it."""
    return next(name for name, module in model.named_modules() if module is part)
