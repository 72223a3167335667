"""Labels: the pieces of the words that answer, as the whole text would have them at its slot.

    "{text} It was {mask}"  +  "great"   ──▶   " great"     one piece of GPT-2's tokenizer

A word is cut behind the words that stand before the slot, because pieces depend on what stands
beside them, see pieces.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labkit.core.backbones import Backbone
from labkit.core.encoding import sentinel_id
from labkit.core.errors import LabError
from labkit.core.pieces import NEUTRAL, cut_behind
from labkit.core.sequences import Pieces
from labkit.core.templates import Mask, Soft, Template, Words


class Labels(NamedTuple):
    """Label words cut into pieces: ``words`` lists them all, ``classes`` the indices per class."""

    words: tuple[Pieces, ...]
    classes: tuple[tuple[int, ...], ...]

    def of_class(self, index: int) -> Labels:
        """The words of one class alone."""
        words = tuple(self.words[word] for word in self.classes[index])
        return Labels(words, (tuple(range(len(words))),))


def cut_labels(
    backbone: Backbone, template: Template, words: Iterable[Sequence[str]], *, sentinel: bool
) -> Labels:
    """The words of each class as pieces of the backbone's tokenizer, each once in its class.

    Args:
        sentinel: for seq2seq models: each word stands behind T5's first sentinel.

    Raises:
        LabError: for a word that the tokenizer does not know, that melts into what stands before
            it, or that has the same pieces as a word of another class.
    """
    pieces: list[Pieces] = []
    classes: list[tuple[int, ...]] = []
    owner: dict[Pieces, tuple[int, str]] = {}
    for number, options in enumerate(words):
        cut = cut_words(backbone, template, options, sentinel=sentinel)
        for word, ids in zip(options, cut, strict=True):
            of, other = owner.setdefault(ids, (number, word))
            if of != number:
                raise LabError(
                    f"the label words {other!r} and {word!r} of two classes are the same pieces to "
                    f"the tokenizer of {backbone.name}, so nothing tells these classes apart; "
                    "choose another word for one of them"
                )
        own = list(dict.fromkeys(cut))
        classes.append(tuple(range(len(pieces), len(pieces) + len(own))))
        pieces += own
    return Labels(tuple(pieces), tuple(classes))


def cut_answers(
    backbone: Backbone, template: Template, answers: Iterable[str], *, sentinel: bool
) -> Labels:
    """Answers as classes of one word each; two of them may be the same pieces.

    Raises:
        LabError: for an answer that the tokenizer does not know, or that melts into what stands
            before it.
    """
    pieces = cut_words(backbone, template, answers, sentinel=sentinel)
    return Labels(pieces, tuple((number,) for number in range(len(pieces))))


def cut_words(
    backbone: Backbone, template: Template, words: Iterable[str], *, sentinel: bool
) -> tuple[Pieces, ...]:
    """The pieces of each word, as :func:`cut_labels`."""
    return tuple(_word_pieces(backbone, template, word, sentinel) for word in words)


def _word_pieces(backbone: Backbone, template: Template, word: str, sentinel: bool) -> Pieces:
    tokenizer = backbone.tokenizer
    spaced = f" {word}" if template.mask_follows_space else word
    if backbone.readout == "encoder":  # the label text stands alone
        pieces = tuple(tokenizer(spaced, add_special_tokens=False)["input_ids"])
    elif backbone.readout == "seq2seq":  # and so does a target
        pieces = tuple(tokenizer(text_target=spaced, add_special_tokens=False)["input_ids"])
    else:
        pieces = _behind_words(backbone, template, spaced)
    if not pieces or tokenizer.unk_token_id in pieces:
        raise LabError(
            f"the label word {word!r} is not in the vocabulary of {backbone.name}; choose a word "
            "that it knows"
        )
    if backbone.readout == "seq2seq" and sentinel:
        return (sentinel_id(backbone), *pieces)
    return pieces


def _behind_words(backbone: Backbone, template: Template, word: str) -> Pieces:
    """The pieces of ``word`` behind the template's words before the slot."""
    before, places = _before_mask(template)
    (cut,) = cut_behind(backbone.tokenizer, places, [word])
    if cut is None:
        raise LabError(
            f"the label word {word.strip()!r} melts into the words before it ({before + word!r}) "
            f"under the tokenizer of {backbone.name}, so it has no pieces of its own; put a space "
            "or a mark before {mask}, or choose another word"
        )
    return tuple(cut.ids)


def _before_mask(template: Template) -> tuple[str, tuple[str, ...]]:
    """The template's words right before the slot, its own space left out, and what the answer is to
    be cut behind: those words alone where they begin the text, else with something before them."""
    parts = list(template.parts)
    if isinstance(parts[0], Soft):  # the text begins behind leading virtual tokens
        parts.pop(0)
    at = next(index for index, part in enumerate(parts) if isinstance(part, Mask))
    before = parts[at - 1] if at else None
    words = before.text.removesuffix(" ") if isinstance(before, Words) else ""
    begins = at == 0 or (at == 1 and bool(words))
    return words, (words,) if begins else tuple(mark + words for mark in NEUTRAL)
