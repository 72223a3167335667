"""From model to model without training: a prompt described by words that both models have.

A virtual token lies somewhere among the words of its model. Described by its cosines with some of
them, the anchors, it can be looked for in any model that has these words too: a vector there whose
cosines with the same words are the same. No task, no label and no map is learned.

    source_ids, target_ids = shared_words(minilm, smollm2)
    described = relative(vectors, word_vectors(minilm, source_ids))       # (P, K)
    there = placed(described, word_vectors(smollm2, target_ids))          # (P, D)

Source: Wu, Wu and Xie 2024, "Zero-shot continuous prompt transfer: generalizing task semantics
across language models"; relative representations after Moschella et al. 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.soft_prompt import COMMON_ENTRIES, common_entries
from labkit.soft_prompt.vocabulary import word_vectors

STEPS, RATE = 300, 0.05
FEWEST = 8
"""Anchors that a description takes at least."""


def shared_words(
    source: Backbone, target: Backbone, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """Words that both models have as one entry, the source's most common first: ids (K,), (K,).

    Letters and case count, marks of a word's beginning don't. Of a word that a vocabulary has both
    as a beginning and as a continuation, the more common entry is taken.

    Raises:
        LabError: for vocabularies that share too few.
    """
    ours, theirs = (_by_text(backbone) for backbone in (source, target))
    both = [text for text in ours if text in theirs][:count]
    if len(both) < FEWEST:
        raise LabError(
            f"{source.name} and {target.name} share {len(both)} common words, too few to describe "
            "a prompt by; take models of one language and script"
        )
    return (
        torch.tensor([ours[text] for text in both]),
        torch.tensor([theirs[text] for text in both]),
    )


def _by_text(backbone: Backbone) -> dict[str, int]:
    """Text of an entry → its id, the most common entry of each text."""
    ids = common_entries(backbone, COMMON_ENTRIES)
    tokens = backbone.tokenizer.convert_ids_to_tokens(ids)
    texts: dict[str, int] = {}
    for number, token in zip(ids, tokens, strict=True):
        texts.setdefault(token.lstrip("Ġ▁#"), number)
    return texts


def relative(vectors: Tensor, anchors: Tensor) -> Tensor:
    """Cosines of the vectors (P, S) with the anchors (K, S), taken from the anchors' mean: (P, K).

    Word embeddings all lie on one side of the origin; seen from there, cosines would hardly differ.
    """
    centre = anchors.mean(0)
    return F.normalize(vectors - centre, dim=-1) @ F.normalize(anchors - centre, dim=-1).T


def placed(described: Tensor, anchors: Tensor, steps: int = STEPS) -> Tensor:
    """Vectors (P, D) whose cosines with the anchors (K, D) come nearest to those given (P, K).

    They are searched by gradient descent from the anchors' average, weighted by what is given, and
    leave with the mean distance that the anchors have from their centre: cosines say nothing of
    length.

    Raises:
        LabError: where there are not as many anchors as the description names.
    """
    if described.shape[1] != len(anchors):
        raise LabError(
            f"a description by {described.shape[1]} anchors, and {len(anchors)} anchors to look "
            "for it among; give the same words in both models"
        )
    centre = anchors.mean(0)
    around = anchors - centre
    directions = F.normalize(around, dim=-1)  # (K, D)
    directed = F.normalize(described @ directions, dim=-1).clone().requires_grad_()  # (P, D)
    optimizer = torch.optim.Adam([directed], lr=RATE)
    for _ in range(steps):
        distance = (F.normalize(directed, dim=-1) @ directions.T - described).square().sum()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
    return centre + around.norm(dim=-1).mean() * F.normalize(directed.detach(), dim=-1)


def by_anchors(
    vectors: Tensor,
    source: Backbone,
    target: Backbone,
    anchors: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """A prompt of ``source`` (P, S) for ``target``: (P, D).

    Args:
        anchors: ids (K,) of words of ``source``, and for each the id of its partner in ``target``;
            default: all :func:`shared_words`.
    """
    source_ids, target_ids = anchors or shared_words(source, target)
    described = relative(vectors.detach().float().cpu(), word_vectors(source, source_ids))
    return placed(described, word_vectors(target, target_ids))
