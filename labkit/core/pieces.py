"""Pieces of words that do not begin a text, as the whole text has them at that place.

    alone                " It was"  ──▶  "▁"  "▁It"  "▁was"     a text begins here
    behind another       ". It was" ──▶  "▁." "▁It"  "▁was"     the same words further on

Tokenizers of the SentencePiece kind begin every text with a mark that no text holds in its middle,
and a space belongs to the piece that follows it. So what stands behind a slot is cut behind
something, whose own pieces are then taken off again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import transformers

NEUTRAL = (".", "。", ",")
"""What words may be cut behind where they follow a text of the task: marks that melt into none."""

ALONE = ""
"""What words are cut behind where they begin the text."""


class Cut(NamedTuple):
    """Words cut into pieces; ``behind``: what they were cut behind."""

    ids: list[int]
    behind: str


def cut_behind(
    tokenizer: transformers.PreTrainedTokenizerBase, places: Sequence[str], texts: Sequence[str]
) -> list[Cut | None]:
    """Each text behind the first of ``places`` into whose pieces it does not melt.

    Returns:
        One for each text; None where it melts into all of them.
    """
    result: list[Cut | None] = [None] * len(texts)
    for place in places:
        left = [index for index, cut in enumerate(result) if cut is None]
        if not left:
            break
        start = _ids(tokenizer, [place])[0] if place else []
        wholes = _ids(tokenizer, [place + texts[index] for index in left])
        for index, whole in zip(left, wholes, strict=True):
            if whole[: len(start)] == start and not _fuses(tokenizer, place, start, texts[index]):
                result[index] = Cut(whole[len(start) :], place)
    return result


def piece_spans(
    tokenizer: transformers.PreTrainedTokenizerBase, text: str, cut: Cut
) -> list[tuple[int, int]]:
    """The characters (first, end) of ``text`` that each of its pieces covers, ``cut`` being what
    :func:`cut_behind` made of it. Pieces that share a character cover it both."""
    if tokenizer.is_fast:
        # a text longer than the model is what is being shortened: no warning about it
        settings: dict[str, Any] = {"add_special_tokens": False, "verbose": False}
        whole = tokenizer(cut.behind + text, return_offsets_mapping=True, **settings)
        offsets = whole["offset_mapping"][-len(cut.ids) :] if cut.ids else []
        before = len(cut.behind)
        return [(max(first - before, 0), end - before) for first, end in offsets]
    # a tokenizer written in Python keeps none: a piece then covers an even share of the text
    count = max(len(cut.ids), 1)
    ends = [len(text) * index // count for index in range(len(cut.ids) + 1)]
    return list(itertools.pairwise(ends))


def beginning(tokenizer: transformers.PreTrainedTokenizerBase, text: str, count: int) -> str:
    """What the first ``count`` pieces of ``text`` cover, without a character that goes on in the
    next piece; all of it where it has no more pieces."""
    cut = Cut(_ids(tokenizer, [text])[0], ALONE)
    if len(cut.ids) <= count:
        return text
    covered = piece_spans(tokenizer, text, cut)
    return text[: min(covered[count - 1][1], covered[count][0])]


def _fuses(
    tokenizer: transformers.PreTrainedTokenizerBase, place: str, start: list[int], text: str
) -> bool:
    """Whether what is unknown at the end of ``place`` swallows the beginning of ``text``, which
    leaves no trace in the pieces."""
    if tokenizer.unk_token_id is None or start[-1:] != [tokenizer.unk_token_id]:
        return False
    if not tokenizer.is_fast:  # written in Python, it keeps no offsets
        return not text[:1].isspace()
    whole = tokenizer(place + text, add_special_tokens=False, return_offsets_mapping=True)
    _, end = whole["offset_mapping"][len(start) - 1]
    return end > len(place)


def _ids(tokenizer: transformers.PreTrainedTokenizerBase, texts: list[str]) -> Sequence[list[int]]:
    # a text that is longer than the model is shortened later: no warning about it
    cut: Any = tokenizer(texts, add_special_tokens=False, verbose=False)
    return cut["input_ids"]
