"""Proofs: what a model is seen to do, on a handful of tokens, before the fast path relies on it.

There are hundreds of model families, and each does something else: heads that call another module
than the rest, words scaled outside their embedding module, convolutions that reach into the
padding, caches that keep a window, a state, or nothing. None of them is listed here. :func:`settle`
holds a model that has just been loaded against its own plain forward pass, turns off whatever of
the fast path it does not bear, and refuses a model that still scores otherwise.

Of a large model the path is remembered (notes.py), so that it is held against itself once for the
same weights, precision, device, libraries and code, and not at every start.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from torch import Tensor

from labkit.core.attention import attends_in_plain_products, use_fused_kernel, use_plain_products
from labkit.core.devices import called
from labkit.core.errors import LabError, first_line
from labkit.core.notes import Notes
from labkit.core.sequences import Encoded, Pieces, Prefix, collate

if TYPE_CHECKING:
    from labkit.core.backbones import Backbone

CLOSE = 1e-4
CLOSE_IN_HALF_PRECISION = 0.2
"""Largest difference between two ways to one score, as a share of the spread of scores of one piece
(root mean squares). In bf16 rounding alone makes up to 0.07 in the models that the course takes."""

ALIKE_IN_HALF_PRECISION = 1e-2
"""Largest change of a score by what it should not see, as a share of the spread: two batches of one
shape are rounded alike, but for experts, which read other places together with it."""

OF_ONE_PIECE = 3
"""Words of one piece, which come first: a word of several stands lower by a piece's score, so that
it would make the spread of what is compared several times wider."""

LARGE = 10_000_000
"""Parameters from which on a model's path is remembered."""

_PATHS = Notes("paths.json")

FAILURES = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a family's code raises where it is asked for something that it does not know."""


@dataclass(frozen=True)
class _Path:
    """On which path a model scores as its own plain forward pass does."""

    plain_products: bool
    word_scale: float
    body: str | None
    pads: bool
    reads_vectors: bool

    @classmethod
    def of(cls, backbone: Backbone) -> _Path:
        plain = attends_in_plain_products(backbone.model)
        return cls(plain, backbone.word_scale, backbone.body, backbone.pads, backbone.reads_vectors)

    def take(self, backbone: Backbone) -> None:
        (use_plain_products if self.plain_products else use_fused_kernel)(backbone.model)
        backbone.word_scale, backbone.body, backbone.pads = self.word_scale, self.body, self.pads
        backbone.reads_vectors = self.reads_vectors


def settle(backbone: Backbone) -> None:
    """Find out on which path the backbone scores as its own plain forward pass does, and take it.

    Raises:
        LabError: for a model that scores otherwise on every path, or can't be run at all.
    """
    key = _key(backbone)
    path = _noted(key) if key else None
    if path is not None:
        path.take(backbone)
        return
    _prove(backbone)
    if key:
        _PATHS.put(key, asdict(_Path.of(backbone)))


def _noted(key: str) -> _Path | None:
    try:
        return _Path(**_PATHS.get(key))
    except TypeError:  # nothing noted, or something else
        return None


def _key(backbone: Backbone) -> str:
    """What a path depends on; empty for a model whose weights are not known exactly, and for small
    ones, which are asked in no time."""
    if not backbone.revision or backbone.model.num_parameters() < LARGE:
        return ""
    parts = (
        *(type(backbone.model).__name__, backbone.name, backbone.revision, backbone.dtype),
        *(called(backbone.device), torch.backends.cpu.get_cpu_capability()),
        *(torch.__version__, transformers.__version__, _digest_of_this_code()),
    )
    return " ".join(map(str, parts))


@functools.cache
def _digest_of_this_code() -> str:
    total = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()[:16]


def _prove(backbone: Backbone) -> None:
    example = _Example(backbone)
    with torch.no_grad():
        _prove_words(example)
        backbone.reads_vectors = _reads_vectors(example)


def _prove_words(example: _Example) -> None:
    backbone = example.backbone
    on_cpu = backbone.device.type == "cpu"
    theirs = _own_scores(example)
    if backbone.readout == "causal" and example.looks_ahead():
        raise _refusal(backbone, "it looks ahead of the place whose next word it should predict")
    if on_cpu:
        use_plain_products(backbone.model)
    if _bears_padding(example, theirs):
        return
    use_fused_kernel(backbone.model)
    _settle_scale(example, theirs)
    _settle_body(example, theirs)
    backbone.pads = _bears_padding(example, theirs)
    if not _agrees(backbone, example.batches, theirs):
        raise _refusal(backbone, "it scores embedded words otherwise than their token ids")
    if on_cpu:
        use_plain_products(backbone.model)
        if not _agrees(backbone, example.batches, theirs):
            use_fused_kernel(backbone.model)


def _bears_padding(example: _Example, theirs: Tensor) -> bool:
    return _agrees(example.backbone, example.padded, theirs) and not example.reads_padding()


def _reads_vectors(example: _Example) -> bool:
    try:
        return bool(torch.isfinite(example.with_a_vector()).all())
    except FAILURES:
        return False


def goes_on_from(backbone: Backbone, prefix: Prefix, sequence: Encoded) -> bool:
    """Whether ``sequence`` scores the same where its prefix has been read beforehand.

    Of a sequence that fills the model, the last places make room for the words of the proof.
    """
    sequence, words = _within_the_model(backbone, prefix, sequence)
    count = max((-number for number in sequence.ids if number < 0), default=0)
    rows = torch.tensor(backbone.ordinary_ids(count), device=backbone.device)
    whole, rest = (collate([s] * 2, backbone.device) for s in (sequence, prefix.rest(sequence)))

    def in_two_parts() -> Tensor:
        behind = rest._replace(prefix=backbone.read(prefix, vectors))
        return backbone.word_scores(behind, vectors, words)

    with torch.no_grad():
        vectors = backbone.embed(rows) if count else None  # (P, D)
        try:
            plain = backbone.word_scores(whole, vectors, words)
        except FAILURES:
            return False
        return _agrees(backbone, in_two_parts, plain)


def _within_the_model(
    backbone: Backbone, prefix: Prefix, sequence: Encoded
) -> tuple[Encoded, list[Pieces]]:
    """The sequence and words to score behind it, such that all of it fits the model.

    The sequence keeps one place behind the prefix; words that still have no room are left out.
    """
    words = _Example(backbone).words
    behind = max(map(len, words)) - 1  # the last piece of a word is predicted, not read
    end = max(backbone.max_length - behind, len(prefix) + 1)
    if end < len(sequence.ids):
        sequence = Encoded(sequence.ids[:end], end - 1)
    room = backbone.max_length - len(sequence.ids)
    return sequence, [pieces for pieces in words if len(pieces) - 1 <= room]


class _Example:
    """Short texts in ordinary tokens, and words to score.

    Their lengths are odd and even: a model that pools by twos reads padding with one of them only.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        ids = backbone.ordinary_ids(12)
        self.words: list[Pieces] = [*((i,) for i in ids[:OF_ONE_PIECE]), (ids[3], ids[4])]
        self.sequences = [self._laid(ids[5:end]) for end in (12, 8, 9)]

    def _laid(self, words: Sequence[int]) -> Encoded:
        before, after = self.backbone.special_tokens()
        if self.backbone.readout == "causal":
            return Encoded((*before, *words), len(before) + len(words) - 1)
        ids = [*before, *words, *after]
        answer = len(before) + len(words) // 2
        if self.backbone.readout == "mlm":
            ids[answer] = self.backbone.special_id("mask_token_id", "mask token")
        return Encoded(tuple(ids), answer)

    def plain(self) -> Tensor:
        """(3, W), as the model itself scores the texts."""
        rows = [self.backbone.plain_scores(s.ids, s.answer, self.words) for s in self.sequences]
        return torch.stack(rows)

    def padded(self) -> Tensor:
        """(3, W), all texts in one batch."""
        return self._scores(self.sequences)

    def alone(self) -> Tensor:
        """(3, W), each text in a batch of its own."""
        return torch.cat([self._scores([sequence]) for sequence in self.sequences])

    def looks_ahead(self) -> bool:
        """Whether what follows changes a causal model's prediction of the next word."""
        long, short = (sequence.ids for sequence in self.sequences[:2])
        other = (*short, *reversed(long[len(short) :]))  # of one length, so rounded alike
        texts = torch.tensor([long, other], device=self.backbone.device)
        one, changed = self.backbone.model(input_ids=texts).logits[:, len(short) - 1].float()
        return not _alike(self.backbone, one, changed)

    def reads_padding(self) -> bool:
        """Whether what stands in the padding changes a score."""
        batch, (filler,) = collate(self.sequences, self.backbone.device), self.words[0]
        filled = batch._replace(ids=batch.ids.where(batch.mask == 1, filler))
        words = self.words[:OF_ONE_PIECE]
        one, changed = (self.backbone.word_scores(b, None, words) for b in (batch, filled))
        return not _alike(self.backbone, one, changed)

    def batches(self) -> Tensor:
        """(3, W), in batches as they will be."""
        return self.padded() if self.backbone.pads else self.alone()

    def with_a_vector(self) -> Tensor:
        """(1, 1), the short text behind a vector between those of two words."""
        short, backbone = self.sequences[1], self.backbone
        answer = short.answer + 1 if short.answer >= 0 else short.answer
        batch = collate([Encoded((-1, *short.ids), answer)], backbone.device)
        rows = torch.tensor(backbone.ordinary_ids(2), device=backbone.device)
        vector = backbone.embed(rows).mean(0, keepdim=True)  # (1, D)
        return backbone.word_scores(batch, vector, self.words[:1])

    def _scores(self, sequences: Sequence[Encoded]) -> Tensor:
        batch = collate(sequences, self.backbone.device)
        return self.backbone.word_scores(batch, None, self.words)


def _own_scores(example: _Example) -> Tensor:
    backbone = example.backbone
    try:
        scores = example.plain()
    except FAILURES as error:
        raise _refusal(backbone, f"its own forward pass fails: {first_line(error)}") from error
    if not torch.isfinite(scores).all():
        raise _refusal(backbone, "its own forward pass gives NaN or infinite numbers")
    return scores


def _settle_scale(example: _Example, theirs: Tensor) -> None:
    """Words that the model scales outside its embedding module: by which factor?"""
    backbone, root = example.backbone, example.backbone.hidden_size**0.5
    body, backbone.body = backbone.body, None  # one question at a time
    for scale in (1.0, root, 1.0 / root):
        backbone.word_scale = scale
        if _agrees(backbone, example.alone, theirs):
            break
    else:
        backbone.word_scale = 1.0
    backbone.body = body


def _settle_body(example: _Example, theirs: Tensor) -> None:
    """The module whose output the head reads: the first whose narrowing changes no score."""
    backbone = example.backbone
    inner = [name for name, _ in backbone.model.named_modules() if name.count(".") <= 1]
    decoders = [name for name in inner if name.rpartition(".")[2] in ("model", "decoder")]
    for name in (backbone.body, *decoders, None):
        backbone.body = name
        if _agrees(backbone, example.alone, theirs):
            return


def _agrees(backbone: Backbone, attempt: Callable[[], Tensor], theirs: Tensor) -> bool:
    """Whether ``attempt`` comes to the scores ``theirs`` (…, W), up to rounding."""
    try:
        ours = attempt()
    except FAILURES:
        return False
    spread = theirs[..., :OF_ONE_PIECE].std()
    return _within(backbone, ours - theirs, spread, CLOSE_IN_HALF_PRECISION)


def _alike(backbone: Backbone, one: Tensor, other: Tensor) -> bool:
    """Whether scores of two batches of one shape are the same, up to rounding."""
    return _within(backbone, one - other, one.std(), ALIKE_IN_HALF_PRECISION)


def _within(backbone: Backbone, apart: Tensor, spread: Tensor, in_half_precision: float) -> bool:
    """Whether scores lie no further apart (root mean square) than a share of their spread."""
    limit = CLOSE if backbone.dtype.itemsize >= 4 else in_half_precision
    return bool(apart.square().mean().sqrt() <= limit * (spread + 1e-6))


def _refusal(backbone: Backbone, reason: str) -> LabError:
    kind = type(backbone.model).__name__
    return LabError(
        f"model {backbone.name!r} ({kind}) cannot be scored here: {reason}; use another model of "
        "its kind, such as one of the BERT, GPT, Llama or T5 families"
    )
