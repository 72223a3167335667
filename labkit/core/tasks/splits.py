"""Splits and overlaps: no text stands on both sides of a cut, nor in two tasks unnoticed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from labkit.core.tasks.task import SPLITS, Example

SPLIT_SEED = 0
MOST_VALIDATION = 1000

# Groups of data sets that share sentences (exact matches after normalising: 732 of 872 SST-2
# validation sentences stand in the movie file, 1,167 of 3,393 CR rows in the Amazon file, 3,305 of
# 8,000 Subj train rows in rt-polarity), and what the models were themselves trained on. MiniLM by
# its model card, where QNLI stands as SQuAD, whose questions and paragraphs it is cut from. FLAN-T5
# on tasks of GLUE and SNLI by Chung et al. 2022, and so on rt-polarity's sentences with their
# polarity, which are SST-2's. Not counted: part of STS-B's captions stand in Flickr30k, which
# MiniLM was trained on, as captions of one picture and without their scores.
SHARED_SENTENCES = (
    frozenset({"rt-polarity", "movie-valence", "sst2", "subj"}),
    frozenset({"cr", "amazon-valence"}),
)
_MINILM = frozenset({"snli", "mnli", "qqp", "qnli"})
TRAINED_ON = {
    "minilm": _MINILM,
    "minilm-mlm": _MINILM,
    "t5-titles": frozenset(
        {"sst2", "rte", "mrpc", "qnli", "qqp", "mnli", "stsb", "snli"}
        | {"rt-polarity", "movie-valence"}
    ),
}


def are_seen(first: str, second: str) -> bool:
    """Whether two tasks share sentences, so that transfer between them proves little."""
    return first != second and any({first, second} <= group for group in SHARED_SENTENCES)


def normalise(text: str) -> str:
    """Lower case, letters with their marks and digits only, single spaces: how texts are compared.

    Vowel signs of Hindi or Thai are marks, without which different words would be the same. A text
    of symbols alone, such as emoji, is compared as it stands; of mere punctuation nothing is left.
    """
    lowered = text.lower()
    marks = "" if lowered.isascii() else "".join(sorted(set(filter(_is_mark, lowered))))
    words = re.findall(rf"\w[\w{re.escape(marks)}]*", lowered)
    if not words and any(unicodedata.category(letter).startswith("S") for letter in lowered):
        words = lowered.split()
    return " ".join(words)


def _is_mark(letter: str) -> bool:
    """Whether it is written onto a letter. Variation selectors are not: they say how a symbol is
    drawn."""
    return unicodedata.category(letter) in ("Mn", "Mc") and not "\ufe00" <= letter <= "\ufe0f"


def split_examples(
    examples: Sequence[Example],
    shares: Mapping[str, float],
    seed: int = SPLIT_SEED,
    by: Sequence[str] | None = None,
) -> dict[str, tuple[Example, ...]]:
    """Cut seeded parts off; the rest is ``train``. Examples that share a text stay together.

    Args:
        shares: split → its share of all examples; ``validation`` has at most 1,000 of a
            published train set.
        by: fields whose texts count; default: all.
    """
    groups = _groups(examples, by)
    order = np.random.default_rng(seed).permutation(len(groups))
    wanted = {name: round(share * len(examples)) for name, share in shares.items()}
    if set(shares) == {"validation"}:
        wanted["validation"] = min(wanted["validation"], MOST_VALIDATION)
    parts: dict[str, list[Example]] = {name: [] for name in (*wanted, "train")}
    for index in order:
        group = groups[index]
        name = next(
            (n for n, size in wanted.items() if len(parts[n]) + len(group) <= size), "train"
        )
        parts[name] += group
    return {name: tuple(parts[name]) for name in SPLITS if name in parts}


def _groups(examples: Sequence[Example], by: Sequence[str] | None) -> list[list[Example]]:
    """Examples linked by a text they share, directly or through others (union–find)."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_with: dict[str, int] = {}
    for index, example in enumerate(examples):
        for name, text in example.fields.items():
            if by is None or name in by:
                parent[root(index)] = root(first_with.setdefault(normalise(text), index))
    groups: dict[int, list[Example]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(root(index), []).append(example)
    return list(groups.values())


def without_overlap(examples: Sequence[Example], others: Iterable[Example]) -> list[Example]:
    """The examples none of whose texts equals, contains or is contained in a text of ``others``.

    Texts are compared after :func:`normalise`, and whole words only: "art" is not in "party".
    """
    theirs = {f" {normalise(t)} " for other in others for t in other.fields.values()} - {"  "}
    by_word, by_rarest = _by_word(theirs), _by_rarest_word(theirs, examples)
    kept = []
    for example in examples:
        texts = [f" {normalise(text)} " for text in example.fields.values()]
        inside = any(_inside_any(text, by_word) for text in texts)
        if not inside and not any(_contains_any(text, by_rarest) for text in texts):
            kept.append(example)
    return kept


def _by_word(texts: Iterable[str]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for text in texts:
        for word in set(text.split()):
            result.setdefault(word, []).append(text)
    return result


def _by_rarest_word(texts: Iterable[str], examples: Sequence[Example]) -> dict[str, list[str]]:
    """Texts under the word of theirs that the examples use least: few comparisons are left."""
    counts: dict[str, int] = {}
    for example in examples:
        for text in example.fields.values():
            for word in set(normalise(text).split()):
                counts[word] = counts.get(word, 0) + 1
    result: dict[str, list[str]] = {}
    for text in texts:
        rarest = min(text.split(), key=lambda word: counts.get(word, 0))
        result.setdefault(rarest, []).append(text)
    return result


def _inside_any(text: str, by_word: Mapping[str, list[str]]) -> bool:
    """Whether one of the texts that share its rarest word with it contains it."""
    holders = min((by_word.get(word, []) for word in text.split()), key=len, default=[])
    return any(text in other for other in holders)


def _contains_any(text: str, by_word: Mapping[str, list[str]]) -> bool:
    return any(other in text for word in set(text.split()) for other in by_word.get(word, ()))
