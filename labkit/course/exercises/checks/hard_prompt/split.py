"""Exercise 1.2: the check of ``split``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, require, under_other_hashes
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.show import shown


@exercise
def check_split(split: Guarded, draw: Draw) -> str:
    """``split``: sentences, labels, share, seed → (train, test), lists of (sentence, label)."""
    distinct = [f"{draw.whole(0, 10**6)} {i}" for i in range(60)]
    sentences = draw.plain.sample([*distinct, *distinct[:10], *[distinct[3]] * 5], 75)
    labels = draw.choices([0, 1], 75)
    rows = list(zip(sentences, labels, strict=True))
    _whole_split(split, rows, 0.2, 0)
    _follows_the_seed(split, rows, draw)
    _follows_the_share(split, draw)
    salted = under_other_hashes(
        split, lambda salt: ([salt(s) for s in sentences], list(labels), 0.3, 1)
    )
    require(
        len({frozenset(map(_plain_row, test)) for _, test in salted}) < 2,
        "the split depends on the order of a set (or on `hash`), which is another one each time "
        "Python starts: sort the distinct sentences before shuffling",
    )
    few = [(f"sentence {i % 7}", i % 7 % 2) for i in range(70)]
    train, test = _whole_split(split, few, 0.3, draw.number + 5)
    require(bool(train) and bool(test), "of seven sentences, ten times each, all land on one side")
    return "split: nothing lost, nothing on both sides, repeatable"


def _plain_row(row: Sequence) -> tuple[str, int]:
    sentence, label = row
    require(
        not isinstance(label, str | bytes),
        f"a label is {shown(label)}, a text: labels are numbers, as they were given",
    )
    require(label in (0, 1), f"a label is {shown(label)}: the labels that were given are 0 or 1")
    return str.__str__(sentence), int(label)


def _whole_split(split: Guarded, rows: list, share: float, seed: int) -> tuple[list, list]:
    sentences, labels = [s for s, _ in rows], [y for _, y in rows]
    result = split(sentences, labels, share, seed)
    require(result is not None, "nothing comes back (None): is the `return` missing?")
    require(
        isinstance(result, tuple | list) and len(result) == 2,
        f"{type(result).__name__} of another length than two comes back: give two lists, train "
        "and test",
    )
    for part in result:
        require(
            not isinstance(part, dict | str) and hasattr(part, "__len__"),
            f"a {type(part).__name__} is no list of rows",
        )
        for row in part:
            require(
                isinstance(row, tuple | list) and len(row) == 2 and isinstance(row[0], str),
                f"a row is {row!r}, expected (sentence, label)",
            )
    train, test = ([_plain_row(row) for row in part] for part in result)
    given, back = Counter(rows), Counter([*train, *test])
    if given != back:
        known = {s for s, _ in rows}
        strange = next((row for row in back if row not in given), None)
        if strange is not None and strange[0] in known:
            hint = f"{strange!r} is no row that was given: every sentence keeps its own label"
        elif strange is not None:
            hint = f"{strange!r} is no row that was given"
        elif sum(back.values()) < len(rows):
            lost = next(iter((given - back).elements()))
            hint = (
                f"{len(rows) - len([*train, *test])} of {len(rows)} rows are lost, such as "
                f"{lost!r}, which was given {given[lost]} times and stands there {back[lost]} times"
            )
        else:
            more = next(iter((back - given).elements()))
            hint = f"{more!r} was given {given[more]} times and stands there {back[more]} times"
        require(False, f"every row should stand in train or test exactly once: {hint}")
    both = sorted({s for s, _ in train} & {s for s, _ in test})
    require(
        not both,
        f"{both[:1]} stands on both sides: split the distinct sentences, not the rows",
    )
    return train, test


def _follows_the_seed(split: Guarded, rows: list, draw: Draw) -> None:
    chosen = {}
    for seed in (0, 1, 2, 3, 0, 1, 2):
        _, test = _whole_split(split, rows, 0.2, seed)
        tested = frozenset(s for s, _ in test)
        if seed in chosen:
            require(
                chosen[seed] == tested,
                "the same seed should give the same split, also after other calls: draw from "
                "random.Random(seed), and keep nothing between calls",
            )
        chosen[seed] = tested
    require(
        len(set(chosen.values())) == len(chosen),
        "another seed should give another split: shuffle the distinct sentences with it",
    )
    orders = (sorted({s for s, _ in rows}), list(dict.fromkeys(s for s, _ in rows)))
    for order in orders:
        places = [sorted(order.index(s) for s in tested) for tested in chosen.values()]
        run = all(p and p[-1] - p[0] == len(p) - 1 for p in places)
        require(not run, "the test part is one unbroken stretch of the sentences: shuffle first")


def _follows_the_share(split: Guarded, draw: Draw) -> None:
    rows = [(f"{draw.whole(0, 10**6)} of {i}", i % 2) for i in range(600)]
    seen = {}
    for share in (0.2, 0.1, 0.4, 0.65):
        _, test = _whole_split(split, rows, share, 4)
        seen[share] = len(test) / len(rows)
    text = ", ".join(f"share {share}: {part:.2f}" for share, part in seen.items())
    require(
        len({round(part, 2) for part in seen.values()}) > 1,
        f"`share` makes no difference ({text} of the rows in test)",
    )
    swapped = all(abs(1 - part - share) < 0.08 for share, part in seen.items())
    require(not swapped, f"train comes first, the smaller part comes second ({text} in test)")
    for share, part in seen.items():
        require(
            abs(part - share) < 0.08,
            f"about `share` of the sentences should go to test, the second part: {text} in test",
        )
    _counts_the_distinct(split, draw)
    _may_be_small(split, draw)


def _counts_the_distinct(split: Guarded, draw: Draw) -> None:
    """One sentence makes up most rows: a share of the rows is another one than of the sentences."""
    others = [(f"{draw.whole(0, 10**6)} at {i}", i % 2) for i in range(200)]
    rows = [*[("again and again", 1)] * 400, *others]
    share = 0.2
    for seed in range(3):
        _, test = _whole_split(split, rows, share, seed)
        part = len({s for s, _ in test}) / 201
        require(
            abs(part - share) < 0.13,
            f"`share` is that of the distinct sentences, not of the rows: with one sentence in 400 "
            f"of 600 rows, and share {share}, {part:.2f} of the distinct ones are in test",
        )


def _may_be_small(split: Guarded, draw: Draw) -> None:
    rows = [(f"{draw.whole(0, 10**6)} of ten, {i}", i % 2) for i in range(10)]
    _, test = _whole_split(split, rows, 0.02, 1)
    require(
        len(test) <= 5,
        f"{len(test)} of ten sentences are in test, where `share` is 0.02: does a slice from "
        "`-count` take everything when count is 0?",
    )
