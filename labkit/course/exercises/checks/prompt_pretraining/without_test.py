"""Exercise 9.3: the check of ``without_test``."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from typing import Any

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded

Text = dict[str, list[tuple[int, str]]]


def _spaced(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _words(sentence: str) -> str:
    return _spaced(re.findall(r"\w+", sentence.lower()))


def _equal(one: str, other: str) -> bool:
    return one == other


def _within(one: str, other: str) -> bool:
    return one in other


def _around(one: str, other: str) -> bool:
    return other in one


def _known(one: str, other: str) -> bool:
    return one in other or other in one


def _without(
    text: Text,
    test: list[str],
    known: Callable[[str, str], bool] = _known,
    read: Callable[[str], str] = _words,
    keeps: bool = False,
    turned: bool = False,
) -> Text:
    forbidden = [read(sentence) for sentence in test]
    kept = {
        name: [
            (place, sentence)
            for place, sentence in rows
            if any(known(read(sentence), other) for other in forbidden) == turned
        ]
        for name, rows in text.items()
    }
    return {name: rows for name, rows in kept.items() if rows or keeps}


_WORDS = ("film", "plot", "cast", "end", "art", "party", "scene", "well", "dull", "fine", "slow",
          "warm", "old", "joke", "star", "made")  # fmt: skip


def _cases(draw: Draw) -> list[tuple[Text, list[str]]]:
    text: Text = {
        "1": [(1, "A fine film."), (2, "The plot is thin."), (4, "Nobody laughed")],
        "2": [(0, "They went to a party."), (1, "So it goes, I said: a fine film, all told!")],
        "3": [(7, "The   plot\tis thin")],
    }
    cases: list[tuple[Text, list[str]]] = [
        (text, ["a fine film", "The plot is thin, and nobody minds."]),
        (text, []),
        (text, ["art"]),
        (text, ["NOBODY LAUGHED", "thin plot is the"]),
        (text, ["the plot is thin"]),
        (text, ["It's a fine  film.", "fine party"]),
    ]
    cases += [(_BORDERS, [sentence]) for sentence in ("art", "so artful, so smart", "Cliché!")]
    cases += [(_BORDERS, ["what a fine film", "The plot was thin"]), (_BORDERS, ["to the end"])]
    cases += [(_unlike_letters(draw), [sentence]) for sentence in _NEARLY]
    for documents, sentences in ((2, 3), (4, 5), (3, 8), (5, 4)):
        drawn: Text = {}
        for number in range(documents):
            place, rows = draw.whole(0, 2), []
            for _ in range(sentences):
                rows.append((place, _spelt(draw, draw.choices(_WORDS, draw.whole(2, 5)))))
                place += draw.plain.choice([1, 1, 2])
            drawn[f"doc {number}"] = rows
        known = [draw.plain.choice(rows)[1] for rows in drawn.values()]
        test = [_spelt(draw, _words(sentence).split()) for sentence in known[:1]]
        test += [_spelt(draw, [*_words(known[-1]).split(), *draw.choices(_WORDS, 2)])]
        test += [_spelt(draw, _words(draw.plain.choice(rows)[1]).split()[:2])
                 for rows in list(drawn.values())[:2]]  # fmt: skip
        cases.append((drawn, test))
    return cases


_NEARLY = ("A well made film", "10 stars for it", "clich d to the end", "so said the star",
           "it s a joke", "a wellmade film")  # fmt: skip
"""Test sentences, each of which a reading by letters takes for another one."""


_BORDERS: Text = {
    "1": [
        (0, "An artful scene."),
        (1, "A smart one"),
        (2, "Modern art!"),
        (3, "We came to"),
        (4, "the end of it."),
    ],
    "2": [(5, "Art"), (6, "A fine film, the plot!"), (8, "It is a cliche")],
}
"""Matches that reach over the end of a word or of a sentence, or of letters without their accents,
are none."""


def _unlike_letters(draw: Draw) -> Text:
    """Words that are not of a-z alone, or of one letter."""
    sentences = [f"A well-made {draw.plain.choice(['film', 'film!'])}",
                 f"{draw.whole(2, 9)} stars for it", "Clichéd to the end", "So I said: the star",
                 "It's a joke"]  # fmt: skip
    return {"1": list(enumerate(draw.plain.sample(sentences, 5))), "2": [(3, "A film, well made")]}


def _over_rows(got: Text, right: Text, text: Text, test: list[str]) -> bool:
    """Whether documents lose rows that hold a test sentence together, and none by itself."""

    def over_some(name: str) -> bool:
        rows = [_words(sentence) for _, sentence in right[name]]
        whole = _words(" ".join(rows))
        return any(_words(sentence) in whole for sentence in test)  # in no row, since all are right

    lost = [name for name in right if any(row not in got.get(name, []) for row in right[name])]
    return bool(lost) and all(map(over_some, lost))


def _spelt(draw: Draw, words: list[str]) -> str:
    """The words with capitals, commas, blanks and an end of their own."""
    spelt = [word.capitalize() if draw.whole(0, 3) == 0 else word for word in words]
    gaps = [draw.plain.choice([" ", " ", ", ", "  ", "\t", " – "]) for _ in spelt[1:]]
    ends = draw.plain.choice(["", ".", "!", " ."])
    return "".join(a + b for a, b in zip(spelt, [*gaps, ends], strict=True))


@exercise
def check_without_test(without: Guarded, draw: Draw) -> str:
    """``without``: document → (place, sentence), test sentences → what the test does not know."""

    def by(known: Callable[[str, str], bool]):
        return lambda text, test: _without(text, test, known)

    def reading(read: Callable[[str], str]):
        return lambda text, test: _without(text, test, read=read)

    def same_set(one: str, other: str) -> bool:
        a, b = set(one.split()), set(other.split())
        return a <= b or b <= a

    def share_a_word(one: str, other: str) -> bool:
        return bool(set(one.split()) & set(other.split()))

    def renumbered(text, test):
        left = _without(text, test)
        return {name: list(enumerate(s for _, s in rows)) for name, rows in left.items()}

    def closed_up(text, test):
        left = _without(text, test)
        return {name: [(text[name][i][0], sentence) for i, (_, sentence) in enumerate(rows)]
                for name, rows in left.items()}  # fmt: skip

    def respelt(change: Callable[[str], str]):
        return lambda text, test: {
            name: [(place, change(sentence)) for place, sentence in rows]
            for name, rows in _without(text, test).items()
        }

    def whole_documents(text, test):
        left = _without(text, test)
        return {name: rows for name, rows in text.items() if left.get(name) == rows}

    def without_places(text, test):
        left = _without(text, test)
        return {name: [sentence for _, sentence in rows] for name, rows in left.items()}

    def lowered(sentence: str) -> str:
        return _spaced(sentence.lower().split())

    def words_by(pattern: str, flags: int = 0) -> Callable[..., Any]:
        return reading(lambda s: _spaced(re.findall(pattern, s.lower(), flags)))

    def bare(sentence: str) -> str:
        ends = string.punctuation + "–"
        return _spaced([w for w in (part.strip(ends) for part in sentence.lower().split()) if w])

    def glued(sentence: str) -> str:
        gone = str.maketrans("", "", string.punctuation + "–")
        return _spaced(sentence.lower().translate(gone).split())

    def joined(text, test):
        whole = _words(" ".join(test))
        return _without(text, ["", *test], lambda one, other: other in one or one in whole)

    def without_accents(sentence: str) -> str:
        letters = unicodedata.normalize("NFKD", sentence)
        return _words("".join(c for c in letters if not unicodedata.combining(c)))

    mistakes: dict[str, Callable[..., Any]] = {
        "only equal sentences go: one that contains a test sentence, or stands within one, is "
        "known as well": by(_equal),
        "a sentence that contains a test sentence stays: the test's answer is in it": by(_within),
        "a sentence that stands within a test sentence stays: a part of the test is in it": (
            by(_around)
        ),
        "only sentences within a test sentence go, not equal ones or those around one": (
            by(lambda one, other: one in other and one != other)
        ),
        "upper and lower case are told apart: compare in lower case": (
            reading(lambda s: _spaced(re.findall(r"\w+", s)))
        ),
        "parts of words count: 'art' does not stand in 'party'; compare word by word": (
            reading(lambda s: " ".join(re.findall(r"\w+", s.lower())))
        ),
        "words are told apart at their beginning alone: 'art' does not stand in 'artful'": (
            by(lambda one, other: one[:-1] in other or other[:-1] in one)
        ),
        "words are told apart at their end alone: 'art' does not stand in 'smart'": (
            by(lambda one, other: one[1:] in other or other[1:] in one)
        ),
        "matches reach from one test sentence into the next: look at each by itself": joined,
        "accents count: 'cliche' and 'cliché' are two words": reading(without_accents),
        "words are read as runs of a–z, which digits and é cut: \\w+ finds both": words_by(
            "[a-z]+"
        ),
        "words are read as runs of ASCII letters and digits, and é cuts them: \\w+ finds it, too": (
            words_by(r"\w+", re.ASCII)
        ),
        "words of one letter are left out: \\w+ finds them, too": words_by(r"\w\w+"),
        "punctuation is taken off the ends of words alone: well-made is two words, well and made": (
            reading(bare)
        ),
        "punctuation is deleted, which glues words: well-made is two words, well and made": (
            reading(glued)
        ),
        "punctuation makes a difference: compare the words alone, re.findall": reading(lowered),
        "the sentences are compared as they are written: their words in lower case, re.findall": (
            reading(str)
        ),
        "the sentences are compared in lower case and else as they are written: their words "
        "alone, re.findall": reading(str.lower),
        "the order of the words is lost (a set of them?): one has to stand within the other word "
        "after word": by(same_set),
        "one word in common is enough here: the whole of one has to stand within the other": (
            by(share_a_word)
        ),
        "the sentences were numbered anew: keep the places, or the neighbours of a missing "
        "sentence become neighbours": renumbered,
        "the rest moved up to the places of what is gone: keep the places, or the neighbours of a "
        "missing sentence become neighbours": closed_up,
        "a document with one known sentence is gone altogether: only that sentence goes": (
            whole_documents
        ),
        "a document of which nothing is left is still there: leave it out": (
            lambda text, test: _without(text, test, keeps=True)
        ),
        "what stays was respelt, too (lower case, words alone): give the sentences as they were": (
            respelt(lambda s: _words(s).strip())
        ),
        "what stays is in lower case: give the sentences as they were": respelt(str.lower),
        "the places are missing: give (place, sentence) rows, as they came": without_places,
        "it is turned round: the known sentences are given, and those that may stay are gone": (
            lambda text, test: _without(text, test, turned=True)
        ),
        "nothing was left out": lambda text, test: dict(text),
    }
    compare(
        without,
        _cases(draw),
        _without,
        mistakes=mistakes,
        traits={
            "matches reach from one row into the next: look at each sentence by itself": _over_rows,
        },
        where="A row goes if its words, one after the other, are those of a test sentence, stand "
        "within them or have them within; the rest stays as it was",
    )
    return "test sentences left out: known in any spelling, places kept"
