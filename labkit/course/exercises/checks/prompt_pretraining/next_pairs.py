"""Exercise 9.2: the check of ``next_pairs``."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, require, under_other_hashes
from labkit.course.exercises.guard import Guarded


def _documents(draw: Draw, sizes: list[int]) -> dict[str, list[tuple[int, str]]]:
    """Documents whose places have gaps; a sentence tells its document and its place."""
    text = {}
    for number, size in enumerate(sizes):
        place, rows = draw.whole(0, 3), []
        for _ in range(size):
            rows.append((place, f"{number}.{place}"))
            place += draw.plain.choice([1, 1, 1, 2, 3])
        text[f"doc {number}"] = rows
    return text


@exercise(overtime="does a draw from the other documents always find one?")
def check_next_pairs(pairs: Guarded, draw: Draw) -> str:
    """``pairs``: document → (place, sentence) in order; seed → (first, second, label) triples."""
    text = {
        "1": [(1, "1.1"), (2, "1.2"), (3, "1.3"), (5, "1.5"), (6, "1.6")],
        "2": [(1, "2.1"), (2, "2.2"), (4, "2.4")],
        "3": [(2, "3.2")],
    }
    start = draw.whole(0, 999)
    _pairs_of(pairs, text, 0)
    _pairs_of(pairs, {"a": [(1, "a.1"), (2, "a.2")], "b": [(7, "b.7")]}, start)
    _pairs_of(pairs, {"a": [(0, "a.0"), (2, "a.2")], "b": [(7, "b.7"), (9, "b.9")]}, start)
    for sizes in ([6, 4], [2, 2, 2], [1, 5, 1], [9, 1], [12, 9, 14], [3, 1, 4]):
        _pairs_of(pairs, _documents(draw, sizes), start)
    many = _documents(draw, [30, 25, 20, 30])
    _draws_of(pairs, many, start)
    _any_sentence(pairs, start)
    _salted(pairs, many)
    return "next-sentence pairs: neighbours only, as many from elsewhere, repeatable"


def _draws_of(pairs: Guarded, text: dict, start: int) -> None:
    """What the seed does to the sentences from elsewhere."""
    drawn: dict[int, list] = {}
    for seed in (start, start + 1, start + 2, start, start + 1):
        others = [row for row in _pairs_of(pairs, text, seed) if row[2] == "other"]
        require(
            drawn.setdefault(seed, others) == others,
            "the same seed should give the same pairs: draw from random.Random(seed), and keep "
            "nothing between calls",
        )
    different = len({tuple(others) for others in drawn.values()}) > 1
    require(different, "`seed` is not used: another seed should draw other sentences")
    seconds = Counter(second for _, second, _ in drawn[start])
    often, count = seconds.most_common(1)[0]
    require(
        count <= max(5, len(drawn[start]) // 4),
        f"{count} of {len(drawn[start])} 'other' rows have the second sentence {often!r}: draw "
        "anew for each pair",
    )
    sources: dict[str, set] = {}
    for seed in (start, start + 1, start + 2):
        for first, second, _ in drawn[seed]:
            sources.setdefault(first.partition(".")[0], set()).add(second.partition(".")[0])
    everywhere = all(len(documents) >= len(text) - 1 for documents in sources.values())
    require(
        everywhere,
        "the sentences from elsewhere all come from one other document: draw from all others",
    )
    places = {second.partition(".")[2] for others in drawn.values() for _, second, _ in others}
    require(
        len(places) > 8,
        f"only the sentences at places {sorted(places)} are drawn: any of another document",
    )


def _any_sentence(pairs: Guarded, start: int) -> None:
    """Few sentences and many seeds: those at the ends of a document come up like the others."""
    text = {
        "a": [(1, "a.1"), (2, "a.2")],
        "b": [(1, "b.1"), (2, "b.2"), (3, "b.3")],
        "c": [(4, "c.4")],
    }
    missing = {
        (name, sentence)
        for name, other in itertools.product("ab", text)
        for _, sentence in text[other]
        if name != other
    }
    for seed in range(start, start + 80):
        triples = _pairs_of(pairs, text, seed)
        missing -= {(first[0], second) for first, second, label in triples if label == "other"}
    require(
        not missing,
        f"in the draws of 80 seeds {sorted({s for _, s in missing})[:1]} never came up: every "
        "sentence of the other documents may, the first and the last ones too",
    )


def _salted(pairs: Guarded, text: dict) -> None:
    def everything(salt: Callable[[str], str]) -> tuple:
        rows = {salt(name): [(at, salt(s)) for at, s in rows] for name, rows in text.items()}
        return rows, 1

    def sentences(salt: Callable[[str], str]) -> tuple:
        return {name: [(at, salt(s)) for at, s in rows] for name, rows in text.items()}, 1

    results = under_other_hashes(pairs, everything) or under_other_hashes(pairs, sentences)
    distinct = {tuple(tuple(map(str.__str__, row)) for row in result) for result in results}
    require(
        len(distinct) < 2,
        "the pairs depend on the order of a set (or on `hash`), which is another one each time "
        "Python starts: draw from a list in a fixed order",
    )


def _pairs_of(pairs: Guarded, text: dict, seed: int) -> list[tuple[str, str, str]]:
    result = pairs(text, seed)
    require(result is not None, "nothing comes back (None): is the `return` missing?")
    require(
        isinstance(result, list | tuple),
        f"a {type(result).__name__} comes back, expected a list of triples",
    )
    for row in result:
        require(
            isinstance(row, list | tuple)
            and len(row) == 3
            and all(isinstance(x, str) for x in row),
            f"an entry is {row!r}: give triples, first sentence, second sentence, label",
        )
    triples = [tuple(row) for row in result]
    labels = {label for _, _, label in triples}
    strange = sorted(labels - {"next", "other"})
    require(not strange, f"a label is {strange[:1]}: use 'next' and 'other'")
    following, document, placed = set(), {}, {}
    for name, rows in text.items():
        place_of = dict(rows)
        for place, sentence in rows:
            document[sentence], placed[sentence] = name, place
            if place + 1 in place_of:
                following.add((sentence, place_of[place + 1]))
    unknown = [x for row in triples for x in row[:2] if x not in document]
    require(not unknown, f"{unknown[:1]} is no sentence of the documents")
    positive = [(first, second) for first, second, label in triples if label == "next"]
    negative = [(first, second) for first, second, label in triples if label == "other"]
    for first, second in positive:
        if (first, second) in following:
            continue
        require(
            document[first] == document[second],
            f"({first!r}, {second!r}) is labelled 'next', and the two are of two documents: don't "
            "pair across a document's end",
        )
        require(
            (second, first) not in following,
            f"({first!r}, {second!r}) is labelled 'next': the later sentence comes second",
        )
        require(first != second, f"{first!r} is paired with itself")
        require(
            False,
            f"{first!r} and {second!r} are not neighbours, places {placed[first]} and "
            f"{placed[second]}: compare the places, not the positions in the list",
        )
    missing = sorted(following - set(positive))
    require(not missing, f"the neighbours {missing[:1]} are missing among the 'next' rows")
    require(len(set(positive)) == len(positive), "a pair of neighbours comes twice: give each once")
    for first, second in negative:
        require(
            document[first] != document[second],
            f"({first!r}, {second!r}) is labelled 'other', and both are of one document: 'other' "
            "takes the second from another one",
        )
    require(
        len(negative) == len(positive),
        f"{len(positive)} 'next' and {len(negative)} 'other': as many of each, or the larger class "
        "is a good guess",
    )
    require(
        sorted(first for first, _ in negative) == sorted(first for first, _ in positive),
        "the same first sentences should stand in both classes: else the first one alone tells",
    )
    return triples
