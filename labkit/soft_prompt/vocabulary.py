"""A prompt from the vocabulary's side: entries to start from, and entries that are near (Lester et
al. 2021, section 7)."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.templates import Verbalizer

COMMON_ENTRIES = 5000


def common_entries(backbone: Backbone, count: int = COMMON_ENTRIES, at_least: int = 1) -> list[int]:
    """Ids of the ``count`` most common words of the vocabulary.

    Tokenizers don't store frequencies, but all of them list their entries with the frequent ones
    first: byte-pair merges in the order in which they were learnt, SentencePiece by probability,
    BERT's word pieces by count. So the first ``count`` entries are taken that are words or parts of
    words: of at least two letters, or single characters where the vocabulary writes words in one,
    which is where it has more of those than of longer pieces (BERT for Chinese has, for English it
    has not: a few hundred stand before all words, in the order of their code points). Special and
    unused entries are left out, and single letters are, unless the vocabulary has fewer than
    ``at_least`` words (byT5 has none).
    """
    tokenizer = backbone.tokenizer
    special = set(tokenizer.all_special_ids)
    known = known_ids(backbone).tolist()
    entries = zip(known, tokenizer.convert_ids_to_tokens(known), strict=True)
    texts = {index: token.lstrip("Ġ▁#") for index, token in entries if index not in special}
    texts = {index: text for index, text in texts.items() if text.isalpha()}
    longer = [index for index, text in texts.items() if len(text) > 1]
    wide = [
        index
        for index, text in texts.items()
        if len(text) == 1 and unicodedata.east_asian_width(text) == "W"
    ]
    words = sorted(longer + wide) if len(wide) > len(longer) else longer
    if len(words) < at_least:
        words += sorted(texts.keys() - words)
    return words[:count]


class Neighbours(NamedTuple):
    """Nearest vocabulary entries of each virtual token, by cosine.

    Attributes:
        tokens: (P, k) entries, nearest first; cosines: (P, k).
    """

    tokens: list[list[str]]
    cosines: Tensor


def nearest_tokens(backbone: Backbone, vectors: Tensor, k: int = 5) -> Neighbours:
    """The ``k`` vocabulary entries nearest to each row of ``vectors`` (P, D), by cosine.

    Lester et al. 2021, section 7. Read them beside those of random vectors and of the
    initialisation: every vector has nearest neighbours, trained or not.

    Raises:
        LabError: for fewer than one, or more than the vocabulary has.
    """
    known = known_ids(backbone)  # (V,)
    if not 1 <= k <= len(known):
        raise LabError(f"k={k}: the vocabulary of {backbone.name} has 1 to {len(known)} nearest")
    words = F.normalize(word_vectors(backbone, known), dim=-1)  # (V, D)
    cosines, nearest = (F.normalize(vectors.detach().float().cpu(), dim=-1) @ words.T).topk(k)
    tokenizer = backbone.tokenizer
    ids = known[nearest].tolist()
    return Neighbours([[str(tokenizer.decode([i])) for i in row] for row in ids], cosines)


def random_vectors(backbone: Backbone, length: int, seed: int = 0) -> Tensor:
    """Gaussian rows with the mean and spread of the word-embedding table: (length, D).

    The control for :func:`nearest_tokens`: what neighbours does a vector have that means nothing?
    """
    words = all_word_vectors(backbone)
    draw = torch.randn(length, words.shape[1], generator=generator(seed))
    return words.mean(0) + draw * words.std(0)


def neighbour_counts(neighbours: Neighbours, verbalizer: Verbalizer) -> dict[str, int]:
    """Virtual tokens with a label word among their neighbours, and those that share their nearest
    neighbour with another one."""
    words = {w.strip().lower() for options in verbalizer.words.values() for w in options}
    nearest = [row[0].strip().lower() for row in neighbours.tokens]
    return {
        "virtual tokens": len(nearest),
        "near a label word": sum(
            any(token.strip().lower() in words for token in row) for row in neighbours.tokens
        ),
        "sharing their nearest token": sum(nearest.count(token) > 1 for token in nearest),
    }


def word_vectors(backbone: Backbone, ids: Tensor) -> Tensor:
    """What the model takes for these token ids (n,): (n, D) fp32 on the CPU.

    That is what its embedding module gives, not the rows of the table: some families scale them.
    """
    with torch.no_grad():
        return backbone.embed(ids.to(backbone.device)).float().cpu()


def all_word_vectors(backbone: Backbone) -> Tensor:
    """The same of the whole vocabulary: (V, D)."""
    return word_vectors(backbone, known_ids(backbone))


def known_ids(backbone: Backbone) -> Tensor:
    """Token ids that both the tokenizer and the model know: (V,)."""
    return torch.tensor(backbone.known_ids())


def pieces(backbone: Backbone, text: str) -> Tensor:
    """Token ids of a text, without special tokens: (n,)."""
    ids = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    backbone.check_known(ids)
    return torch.tensor(ids, dtype=torch.long)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
