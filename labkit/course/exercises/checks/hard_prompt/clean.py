"""Exercise 1.1: the check of ``clean``."""

from __future__ import annotations

import re
import string
from collections import Counter

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded

_FIRST = (
    b"a  gripping film .\r\nclich\xe9d and dull .\r\n\r\n"
    b"  a gripping film .\r\nneat \x97 and funny .\n"
)


def _cleaned(
    raw: bytes,
    codec: str = "latin-1",
    errors: str = "strict",
    tidy: str = "all",
    empty: bool = False,
    repeats: str = "first",
) -> list[str]:
    lines = raw.decode(codec, errors).replace("\r\n", "\n").split("\n")
    trim = {
        "all": lambda line: " ".join(line.split()),
        "ends": str.strip,
        "spaces": lambda line: re.sub(" +", " ", line).strip(" "),
        "inside": lambda line: re.sub(r"\s+", " ", line),
        "none": str,
        "gone": lambda line: "".join(line.split()),
    }[tidy]
    if repeats == "too early":
        lines = list(dict.fromkeys(lines))
    sentences = [trim(line) for line in lines]
    sentences = [line for line in sentences if line or empty]
    if repeats == "first":
        return list(dict.fromkeys(sentences))
    if repeats == "last":
        return list(dict.fromkeys(sentences[::-1]))[::-1]
    if repeats == "neighbours":
        return [line for i, line in enumerate(sentences) if i == 0 or line != sentences[i - 1]]
    if repeats == "gone":
        return [line for line in sentences if sentences.count(line) == 1]
    if repeats == "case":
        seen: dict[str, str] = {}
        for line in sentences:
            seen.setdefault(line.lower(), line)
        return list(seen.values())
    return sentences


def _differing_at_the_end(lines: list[str]) -> list[str]:
    """The first of the sentences that are the same but for the punctuation at their ends."""
    seen: dict[str, str] = {}
    for line in lines:
        seen.setdefault(line.rstrip(" .!?"), line)
    return list(seen.values())


def _foreign(sentences: list[str]) -> set[str]:
    return {letter for letter in "".join(sentences) if not letter.isascii()}


def _fewer(got: list[str], right: list[str], characters: str) -> bool:
    """Whether one of the characters comes less often than it should."""
    here, there = Counter("".join(got)), Counter("".join(right))
    return any(here[character] < there[character] for character in characters)


def _marked() -> bytes:
    """Each mark and digit in front of a word, within one, behind one, three in a row, and alone."""
    lines = ["1,000 of them", "<br /> &amp; &eacute; \\n", "(2.5 stars)", "[ so ]", "3-d 'tis n't"]
    for mark in string.punctuation + string.digits:
        lines += [f"{mark}so o{mark}k is{mark}", f"{mark * 3} fun  {mark} ", mark]
    return "\n".join(lines).encode("latin-1")


def _file(draw: Draw, lines: int) -> bytes:
    """Lines of a polarity file, with every kind of untidiness."""
    words = ["film", "Film", "dull", "é", "clichéd", "\x97", "so", "fun", ".", "ÿ", "b"]
    untidy = []
    for _ in range(lines):
        if untidy and draw.plain.random() < 0.3:
            untidy.append(draw.plain.choice(untidy).replace(" ", "  ", 1))
            continue
        if draw.plain.random() < 0.15:
            untidy.append(draw.plain.choice(["", "   ", "\t"]))
            continue
        size = draw.whole(1, 6)
        gaps = draw.choices([" ", " ", "  ", "\t"], size)
        untidy.append("".join(w + g for w, g in zip(draw.choices(words, size), gaps, strict=True)))
        untidy[-1] = draw.plain.choice(["", " ", "\t"]) + untidy[-1].rstrip(" \t")
        untidy[-1] += draw.plain.choice(["", "  "])
    ends = draw.choices(["\n", "\r\n"], lines)
    text = "".join(line + end for line, end in zip(untidy, ends, strict=True))
    return text.removesuffix(draw.plain.choice(["\n", ""])).encode("latin-1")


@exercise
def check_clean(clean: Guarded, draw: Draw) -> str:
    """``clean``: bytes of a polarity file → sentences."""
    files = [_FIRST, *(_file(draw, lines) for lines in (4, 9, 14, 30, 30)), b"one line", b""]
    letters = bytes(draw.plain.sample(range(0xA1, 0x100), 0x5F))  # every one that latin-1 has
    files.append(b"fun\nfun .\nfun!\nfun\n" + letters + b"\n fun .\n")
    files.append(_marked())
    require(
        not isinstance(clean(b"a b\nc"), str),
        "one text comes back: give a list with an entry for each sentence",
    )
    compare(
        clean,
        [(raw,) for raw in files],
        _cleaned,
        mistakes={
            "the bytes are not UTF-8: the files are latin-1, where é is the single byte 0xe9": (
                lambda raw: _cleaned(raw, "utf-8")
            ),
            "é is lost or mangled: decode as latin-1, and drop no characters": (
                lambda raw: _cleaned(raw, "ascii", "ignore")
            ),
            "é is lost or mangled: the bytes are read as UTF-8, with what does not fit left out": (
                lambda raw: _cleaned(raw, "utf-8", "ignore")
            ),
            "é is lost or mangled: what is not UTF-8 (or ASCII) was replaced by a mark": (
                lambda raw: _cleaned(raw, "utf-8", "replace")
            ),
            "ASCII has no é: the files are latin-1": lambda raw: _cleaned(raw, "ascii"),
            "this is Windows' code page 1252, where the byte 0x97 is another character than in "
            "latin-1": lambda raw: _cleaned(raw, "cp1252"),
            "an empty line became an empty sentence: leave it out": (
                lambda raw: _cleaned(raw, empty=True)
            ),
            "one sentence stands twice: keep the first of those that repeat": (
                lambda raw: _cleaned(raw, repeats="all")
            ),
            "one sentence stands twice: compare after collapsing white space, not before": (
                lambda raw: _cleaned(raw, repeats="too early")
            ),
            "one sentence stands twice: only neighbours were compared": (
                lambda raw: _cleaned(raw, repeats="neighbours")
            ),
            "the last of repeated sentences was kept, not the first": (
                lambda raw: _cleaned(raw, repeats="last")
            ),
            "sentences that repeat are all gone: the first of them stays": (
                lambda raw: _cleaned(raw, repeats="gone")
            ),
            "capitals count: Film and film are two sentences": (
                lambda raw: _cleaned(raw, repeats="case")
            ),
            "punctuation counts: 'fun' and 'fun .' are two sentences": (
                lambda raw: _differing_at_the_end(_cleaned(raw))
            ),
            "this is another code page of the ISO, such as latin-9, where ¤ is the euro: the files "
            "are latin-1": lambda raw: _cleaned(raw, "iso-8859-15"),
            "capitals are lost: nothing but white space is to change": (
                lambda raw: list(dict.fromkeys(line.lower() for line in _cleaned(raw)))
            ),
            "white space is left doubled inside: collapse it to one space": (
                lambda raw: _cleaned(raw, tidy="ends")
            ),
            "white space is left: tabs are white space too": (
                lambda raw: _cleaned(raw, tidy="spaces")
            ),
            "white space is left at the ends of sentences": (
                lambda raw: _cleaned(raw, tidy="inside", empty=False)
            ),
            "white space is left at the ends and doubled inside: collapse it": (
                lambda raw: _cleaned(raw, tidy="none")
            ),
            "the spaces between the words are gone: collapse them to one": (
                lambda raw: _cleaned(raw, tidy="gone")
            ),
            "these are sorted: keep the order of the file": lambda raw: sorted(_cleaned(raw)),
            "these are sorted backwards: keep the order of the file": (
                lambda raw: sorted(_cleaned(raw), reverse=True)
            ),
            "the order is turned round: keep the order of the file": (
                lambda raw: _cleaned(raw)[::-1]
            ),
            "the last sentence is missing: a file need not end with a new line": (
                lambda raw: _cleaned(raw)[:-1]
            ),
            "the first sentence is missing": lambda raw: _cleaned(raw)[1:],
        },
        traits={
            "an empty line became an empty sentence: leave it out": lambda got, *_: "" in got,
            "white space is left at an end, or doubled inside: collapse it": (
                lambda got, *_: any(line != " ".join(line.split()) for line in got)
            ),
            "é is lost or mangled: decode as latin-1, and drop no characters": (
                lambda got, right, raw: _foreign(got) != _foreign(right)
            ),
            "one sentence stands twice: compare after collapsing white space, and keep the "
            "first": lambda got, *_: len(set(got)) < len(got),
            "these are the right sentences in another order: keep the order of the file": (
                lambda got, right, raw: got != right and sorted(got) == sorted(right)
            ),
            "a sentence is missing": lambda got, right, raw: set(got) < set(right),
            "digits are lost: nothing but white space is to change": (
                lambda got, right, raw: _fewer(got, right, string.digits)
            ),
            "punctuation is lost, or another one: nothing but white space is to change": (
                lambda got, right, raw: _fewer(got, right, string.punctuation)
            ),
        },
        where="Decode as latin-1, one space between words, no empty sentence, the first of "
        "repeats, the order of the file",
    )
    return "cleaned: latin-1, no empty lines, no doubled spaces, no repeats"
