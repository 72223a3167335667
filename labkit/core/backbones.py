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

Usage::

    backbone = load_backbone("smollm2")              # a default model, from the cache
    backbone = load_backbone("bert-base-uncased")    # any Hub id or local folder
"""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle
from transformers.models.auto import modeling_auto

from labkit.core import assets
from labkit.core.attention import use_plain_products
from labkit.core.errors import LabError

READOUTS = ("mlm", "causal", "seq2seq", "encoder")

ENCODER_SCALE = 20.0
"""Factor on the cosine of the encoder readout, the usual one of sentence-embedding training (an
inverse temperature of 20). It is fixed: cosines of the label texts differ by a few hundredths, and
without it the softmax over the labels would be flat and the gradients small."""


class Batch(NamedTuple):
    """Sequences padded on the right to one length.

    ``ids``: (B, T) long; a token id, or −1−r for row r of the prompt (a virtual token).
    ``mask``: (B, T) long; 1 for words and virtual tokens, 0 for padding.
    ``answer``: (B,) long; index of the answer slot: the mask token (mlm) or the last position
    (causal); unused by the other readouts.
    """

    ids: Tensor
    mask: Tensor
    answer: Tensor


Pieces = tuple[int, ...]
KeysValues = list[tuple[Tensor, Tensor]]


class Backbone(nn.Module):
    """A language model, its tokenizer and its readout. Use :func:`load_backbone`.

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
        revision: str = "",
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.revision, self.trainable = name, revision, trainable
        self.model = model.requires_grad_(trainable)
        self.tokenizer = tokenizer
        self.hidden_size = model.get_input_embeddings().embedding_dim
        self.max_length = _max_length(model.config, tokenizer)
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

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        """Score of each label word for each sequence: (B, W), differentiable in ``vectors``."""
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
        with torch.no_grad(), _attending_in_plain_steps(self.model):
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

        return _hooked(self._position_table().register_forward_hook(leave_out))


class MaskedBackbone(_WithPositionTable):
    """Masked language models (BERT, RoBERTa): the label word's logit at the mask token."""

    readout = "mlm"

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        embedded = self.embed_batch(batch.ids, vectors)  # (B, T, D)
        with self._positions(batch.ids), _only_at(self.model, batch.answer[:, None]):
            logits = self.model(inputs_embeds=embedded, attention_mask=batch.mask).logits
        logits = logits[:, 0].float()  # (B, V)
        return torch.stack([logits[:, list(pieces)].mean(-1) for pieces in words], dim=-1)

    def answer_attention(self, batch: Batch, vectors: Tensor | None) -> Tensor:
        with self._positions(batch.ids):
            return self._attention_at(batch, vectors)


class CausalBackbone(Backbone):
    """Causal language models (GPT, Llama): log-probability of the label's pieces as continuation.

    Position t attends to positions ≤ t only, so keys and values of a leading part that no example
    changes are the same for all examples: :meth:`keys_values` computes them once, and
    :meth:`word_scores` continues from them.
    """

    readout = "causal"

    def keys_values(self, ids: Tensor, vectors: Tensor | None) -> KeysValues:
        """Keys and values of a shared leading part, per layer (1, heads, L, head size).

        Args:
            ids: (L,) ids of the part, −1−r for row r of ``vectors``.
        """
        embedded = self.embed_batch(ids[None], vectors)  # (1, L, D)
        cache = self.model.base_model(
            inputs_embeds=embedded,
            # without a mask, position ids that stand still would be taken for packed texts
            attention_mask=torch.ones_like(ids[None]),
            position_ids=self._position_ids(ids[None], 0),
            use_cache=True,
        ).past_key_values
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _position_ids(self, ids: Tensor, before: int) -> Tensor:
        """(B, T): counted on from ``before``; 0 at virtual tokens that have no positions."""
        counted = before + torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1)
        return counted if self.has_positions else counted.masked_fill(ids < 0, 0)

    def word_scores(
        self,
        batch: Batch,
        vectors: Tensor | None,
        words: Sequence[Pieces],
        shared: KeysValues | None = None,
    ) -> Tensor:
        """As in :class:`Backbone`; ``shared`` holds keys and values of what stands before."""
        scores: list[Tensor | None] = [None] * len(words)
        for start in dict.fromkeys(pieces[:-1] for pieces in words):
            # words that share all pieces but the last are read from one pass
            log_probs = self._continuation(batch, vectors, start, shared)  # (B, len(start)+1, V)
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
        self, batch: Batch, vectors: Tensor | None, start: Pieces, shared: KeysValues | None
    ) -> Tensor:
        """Log-probabilities of the next piece, at the answer slot and after each piece of
        ``start`` laid behind it: (B, len(start)+1, V)."""
        ids, mask, slots = _continued(batch, start)
        before = 0 if shared is None else shared[0][0].shape[-2]
        rows = len(ids)
        full_mask = torch.cat([mask.new_ones(rows, before), mask], dim=1)  # (B, L+T)
        with _only_at(self.model, slots):
            logits = self.model(
                inputs_embeds=self.embed_batch(ids, vectors),
                attention_mask=full_mask,
                position_ids=self._position_ids(ids, before),
                past_key_values=None if shared is None else _expanded(shared, rows),
                use_cache=shared is not None,
            ).logits
        return logits.float().log_softmax(-1)


class Seq2SeqBackbone(Backbone):
    """Encoder–decoder models (T5): log-probability of the label text from the decoder.

    The target of a label is its pieces and the end token, as in T5's own training (Lester et al.
    2021, section 2); a sentinel in front, where wanted, is part of the pieces.
    """

    readout = "seq2seq"

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
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

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
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


_CLASSES = {
    cls.readout: cls for cls in (MaskedBackbone, CausalBackbone, Seq2SeqBackbone, EncoderBackbone)
}
_AUTO = {
    "mlm": transformers.AutoModelForMaskedLM,
    "causal": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "encoder": transformers.AutoModel,
}
_ARCHITECTURES = {
    "mlm": set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()),
    "causal": set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()),
    "seq2seq": set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values()),
    "encoder": set(modeling_auto.MODEL_MAPPING_NAMES.values()),
}


def load_backbone(
    name: str,
    *,
    trainable: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> Backbone:
    """Load a language model behind its readout, frozen unless ``trainable``.

    Args:
        name: ``smollm2``, ``minilm``, a Hub id, or a folder in Hugging Face's format.
        trainable: for the fine-tuning baseline; the weights are then kept in fp32.
        device: default: the GPU if there is one, else the CPU.
        dtype: default: bf16 where the machine multiplies it natively, else fp32.
        revision: commit or tag of a Hub model.

    Raises:
        LabError: if the model cannot be had, or has none of the four readouts.
    """
    folder = _folder(name)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if dtype is None:
        dtype = torch.bfloat16 if has_bf16(device) and not trainable else torch.float32
    try:
        config = transformers.AutoConfig.from_pretrained(folder, revision=revision)
        readout = _readout(name, config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, revision=revision)
        with assets.quiet_transformers():
            model = _AUTO[readout].from_pretrained(folder, revision=revision, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise _not_loaded(name, error) from error
    if device.type == "cpu":
        use_plain_products(model)
    if name in assets.MODELS:
        exact = assets.ASSETS[name].version
    else:
        exact = revision or getattr(config, "_commit_hash", None) or ""
    # a local folder is known by its own name: where it lies is nobody else's business
    known_as = Path(name).resolve().name if Path(name).is_dir() else name
    backbone = _CLASSES[readout](known_as, model, tokenizer, revision=exact, trainable=trainable)
    return backbone.to(device)


def config_of(name: str, revision: str | None = None) -> transformers.PretrainedConfig:
    """The configuration of a model; no weights are read.

    Raises:
        LabError: if there is no such model.
    """
    try:
        return transformers.AutoConfig.from_pretrained(_folder(name), revision=revision)
    except (OSError, ValueError) as error:
        raise _not_loaded(name, error) from error


def readout_of(name: str, revision: str | None = None) -> str:
    """The readout of a model, from its configuration alone.

    Raises:
        LabError: if there is no such model, or it has none of the four readouts.
    """
    return _readout(name, config_of(name, revision))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices natively (emulated bf16 is slower than fp32)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, p, lambda: False)() for p in probes)


def _folder(name: str) -> str:
    """Where to load ``name`` from; a slip in a default model's name fails before any request."""
    if name in assets.MODELS:
        return str(assets.locate(name))
    close = difflib.get_close_matches(name, assets.MODELS, n=1)
    if close and not Path(name).is_dir():
        raise LabError(f"there is no model {name!r}; did you mean {close[0]!r}?")
    return name


def _readout(name: str, config: transformers.PretrainedConfig) -> str:
    architecture = (getattr(config, "architectures", None) or ["none named"])[0]
    for readout in READOUTS:
        if architecture in _ARCHITECTURES[readout]:
            return readout
    raise LabError(
        f"model {name!r} ({architecture}) has none of the four readouts; use a masked, causal or "
        "sequence-to-sequence language model, or a plain text encoder"
    )


def _max_length(
    config: transformers.PretrainedConfig, tokenizer: transformers.PreTrainedTokenizerBase
) -> int:
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        limit -= config.pad_token_id + 1  # RoBERTa counts positions from the padding id on
    # tokenizers without a limit carry a huge number; T5's relative positions have no hard limit
    known = [n for n in (limit, tokenizer.model_max_length) if n is not None and n < 10**9]
    return min(known) if known else 512


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


def _expanded(shared: KeysValues, rows: int) -> transformers.DynamicCache:
    cache = transformers.DynamicCache()
    for layer, (keys, values) in enumerate(shared):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache


@contextlib.contextmanager
def _only_at(model: transformers.PreTrainedModel, slots: Tensor) -> Iterator[None]:
    """Within the block, the head sees the hidden states at ``slots`` (B, k) only.

    The head of a language model multiplies by the whole vocabulary; at every position that would
    cost as much as several layers. A hook on the body keeps this true for any model, whatever its
    head is made of.
    """

    def narrow(_module: nn.Module, _inputs: object, output: object) -> object:
        hidden = output.last_hidden_state  # (B, T, D)
        index = slots[..., None].expand(-1, -1, hidden.shape[-1])  # (B, k, D)
        output.last_hidden_state = hidden.gather(1, index)
        return output

    with _hooked(model.base_model.register_forward_hook(narrow)):
        yield


@contextlib.contextmanager
def _attending_in_plain_steps(model: transformers.PreTrainedModel) -> Iterator[None]:
    """Within the block attention isn't fused into one kernel, which keeps its shares to itself."""
    fused = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(fused)


@contextlib.contextmanager
def _hooked(handle: RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _not_loaded(name: str, error: Exception) -> LabError:
    return LabError(
        f"model {name!r} cannot be loaded ({_first_line(error)}); give a folder in Hugging Face's "
        "format, or a Hub id while the network is on "
        f"(models that need neither: {', '.join(sorted(assets.MODELS))})"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
