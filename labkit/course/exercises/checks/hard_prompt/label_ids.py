"""Exercise 1.4: the check of ``label_ids``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded


def _ids(tokenizer, words: Sequence[str], space: str = " ", special: bool = False) -> list[list]:
    return [tokenizer(space + w, add_special_tokens=special)["input_ids"] for w in words]


def _only(pieces: list[list[int]]) -> list[int]:
    if any(len(ids) != 1 for ids in pieces):
        raise ValueError
    return [ids[0] for ids in pieces]


def _of_two_pieces(tokenizer, draw: Draw, known: list[str]) -> str:
    """The fewest pieces that are too many: known words, one behind the other."""
    while True:
        word = "".join(draw.plain.sample(known, 2))
        if len(_ids(tokenizer, [word])[0]) == 2:
            return word


def _other_ids(tokenizer, words: list[str], draw: Draw):
    """A tokenizer that cuts these words as this one does, and has other numbers for the pieces."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces, merges = rules["model"]["vocab"], rules["model"]["merges"]
    spelt = " ".join(f"Ġ{word}" for word in words)  # Ġ: the space in front of a piece
    merged = ["".join(merge if isinstance(merge, list) else merge.split(" ")) for merge in merges]
    special = [added["content"] for added in rules["added_tokens"]]
    kept = [p for p in pieces if p not in special and (len(p) == 1 or p in spelt)]
    ids = draw.plain.sample(range(len(special), len(pieces)), len(kept))
    rules["model"]["vocab"] = {p: pieces[p] for p in special} | dict(zip(kept, ids, strict=True))
    rules["model"]["merges"] = [m for m, p in zip(merges, merged, strict=True) if p in spelt]
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(rules)))


@exercise
def check_label_ids(label_ids: Guarded, draw: Draw, tokenizer) -> str:
    """``label_ids``: tokenizer, words → one id per word, as it stands after a space."""
    known = []
    while len(known) < 24:
        word = tokenizer.decode([draw.whole(300, 20_000)])
        fits = word.startswith(" ") and word[1:].isalpha() and word.isascii()
        if fits and len(_ids(tokenizer, [word[1:]])[0]) == 1:
            known.append(word[1:])
    several = "unputdownable"
    pair = _of_two_pieces(tokenizer, draw, known)
    lists = [["terrible", "great", "bad", "good"], ["great"], known[:6], known[6:14], known[14:]]
    lists += [["no", "yes", "no"], [several], ["good", several], [several, "good"], [pair]]
    cases = [(tokenizer, words) for words in lists]
    other = _other_ids(tokenizer, [word for words in lists for word in words], draw)
    cases += [(other, words) for words in [*lists[:4], [several], ["good", pair]]]
    ids = label_ids(tokenizer, lists[0]) if not label_ids.raised(tokenizer, lists[0]) else None
    require(
        not isinstance(ids, list | tuple) or all(not isinstance(i, list) for i in ids),
        f"give plain integers, one for each word, not {ids!r}",
    )
    require(
        ids is None or not hasattr(ids, "__len__") or len(ids) == 4,
        f"{len(ids) if hasattr(ids, '__len__') else 0} ids for 4 words",
    )
    spelt = ""
    if ids is not None and all(isinstance(i, int | np.integer) for i in ids):
        spelt = f"The ids for {lists[0]} spell {[tokenizer.decode([int(i)]) for i in ids]!r}; "
    compare(
        label_ids,
        cases,
        lambda t, words: _only(_ids(t, words)),
        mistakes={
            "ValueError for words each of which is one piece behind a space: tokenise ' great', "
            "not 'great'; behind 'It was' a space comes first": lambda t, words: _only(
                _ids(t, words, "")
            ),
            "these are ids for the start of a text, and behind 'It was' a space comes first; "
            "besides, the first of several pieces is another word": lambda t, words: [
                ids[0] for ids in _ids(t, words, "")
            ],
            "'unputdownable' is several pieces, and its first one is another word: raise "
            "ValueError": lambda t, words: [ids[0] for ids in _ids(t, words)],
            "'unputdownable' is several pieces, and its last one is another word: raise "
            "ValueError": lambda t, words: [ids[-1] for ids in _ids(t, words)],
            "two pieces are several, too: raise ValueError": (
                lambda t, words: [ids[0] for ids in _ids(t, words) if len(ids) < 3 or _only([ids])]
            ),
            "words of several pieces are left out without a word: raise ValueError": (
                lambda t, words: [ids[0] for ids in _ids(t, words) if len(ids) == 1]
            ),
            "all pieces of a word are there: one id for each word, ValueError if it has more": (
                lambda t, words: [i for ids in _ids(t, words) for i in ids]
            ),
            "these are ids of the notebook's own tokenizer, whichever the argument is: use the one "
            "that is given": lambda t, words: _only(_ids(tokenizer, words)),
            "the label's space is there twice": lambda t, words: _only(_ids(t, words, "  ")),
            "only the first word is looked at: any of them may be several pieces": (
                lambda t, words: [
                    ids[0] for i, ids in enumerate(_ids(t, words)) if i or _only([ids])
                ]
            ),
            "each id once: two equal words have two equal ids": (
                lambda t, words: list(dict.fromkeys(_only(_ids(t, words))))
            ),
            "these ids are sorted: the order is that of the words": (
                lambda t, words: sorted(_only(_ids(t, words)))
            ),
            "convert_tokens_to_ids knows the pieces as they are written in the vocabulary, with "
            "their mark for the space": lambda t, words: t.convert_tokens_to_ids(list(words)),
        },
        unraised="a word is several pieces, whose first is another word: raise ValueError",
        where=f"{spelt}behind 'It was' a space comes first, so tokenise ' great', without special "
        "tokens",
    )
    return "label words: one id each, with the space that stands in front"
