"""Checks of notebook 01_hard_prompt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require, under_other_hashes
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

# ---- 1.1 ----

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
    found = [trim(line) for line in lines]
    found = [line for line in found if line or empty]
    if repeats == "first":
        return list(dict.fromkeys(found))
    if repeats == "last":
        return list(dict.fromkeys(found[::-1]))[::-1]
    if repeats == "neighbours":
        return [line for i, line in enumerate(found) if i == 0 or line != found[i - 1]]
    if repeats == "gone":
        return [line for line in found if found.count(line) == 1]
    if repeats == "case":
        seen: dict[str, str] = {}
        for line in found:
            seen.setdefault(line.lower(), line)
        return list(seen.values())
    return found


def _foreign(sentences: list[str]) -> set[str]:
    return {letter for letter in "".join(sentences) if not letter.isascii()}


def _file(draw: Draw, lines: int) -> bytes:
    """Lines of a polarity file, with every kind of untidiness."""
    words = ["film", "Film", "dull", "é", "clichéd", "\x97", "so", "fun", ".", "ÿ", "b"]
    made = []
    for _ in range(lines):
        if made and draw.plain.random() < 0.3:
            made.append(draw.plain.choice(made).replace(" ", "  ", 1))
            continue
        if draw.plain.random() < 0.15:
            made.append(draw.plain.choice(["", "   ", "\t"]))
            continue
        size = draw.whole(1, 6)
        gaps = draw.choices([" ", " ", "  ", "\t"], size)
        made.append("".join(w + g for w, g in zip(draw.choices(words, size), gaps, strict=True)))
        made[-1] = draw.plain.choice(["", " ", "\t"]) + made[-1].rstrip(" \t")
        made[-1] += draw.plain.choice(["", "  "])
    ends = draw.choices(["\n", "\r\n"], lines)
    text = "".join(line + end for line, end in zip(made, ends, strict=True))
    return text.removesuffix(draw.plain.choice(["\n", ""])).encode("latin-1")


@exercise
def check_clean(clean: Guarded, draw: Draw) -> str:
    """``clean``: bytes of a polarity file → sentences."""
    files = [_FIRST, *(_file(draw, lines) for lines in (4, 9, 14, 30, 30)), b"one line", b""]
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
        },
        where="Decode as latin-1, one space between words, no empty sentence, the first of "
        "repeats, the order of the file",
    )
    return "cleaned: latin-1, no empty lines, no doubled spaces, no repeats"


# ---- 1.2 ----


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
    return str.__str__(row[0]), int(row[1])


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
    own = Counter(rows)
    given, back = Counter(rows), Counter([*train, *test])
    if given != back:
        known = {s for s, _ in rows}
        strange = next((row for row in back if row not in own), None)
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
        found = frozenset(s for s, _ in test)
        if seed in chosen:
            require(
                chosen[seed] == found,
                "the same seed should give the same split, also after other calls: draw from "
                "random.Random(seed), and keep nothing between calls",
            )
        chosen[seed] = found
    require(
        len(set(chosen.values())) > 1,
        "another seed should give another split: shuffle the distinct sentences with it",
    )
    orders = (sorted({s for s, _ in rows}), list(dict.fromkeys(s for s, _ in rows)))
    for order in orders:
        places = [sorted(order.index(s) for s in found) for found in chosen.values()]
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


# ---- 1.3 ----


def _filled(template: str, text: str) -> str:
    before = template[: template.index("{mask}")]
    if before.endswith(" "):
        before = before[:-1]
    return text.join(before.split("{text}"))


@exercise
def check_fill(fill: Guarded, draw: Draw) -> str:
    """``fill``: template, text → the words in front of the answer."""
    templates = [
        "{text} It was {mask}",
        "Review: {text}\nSentiment: {mask}",
        "One: {text}\nTwo: {text}, so it is {mask}!",
        "It was {mask}: {text}",
        "{text}\nAll in all: {mask} . {text}",
        "Review:  {text}  (end)\n{mask}",
        "In short,{mask} {text}",
    ]
    words = ["Good fun.", "{odd} braces", "x {mask} y", "a {text} b", "", r"a\1 b\n", "  so  so ",
             "100 % é", "{", "{0} {}", "ends in {mask}"]  # fmt: skip
    cases = [(templates[0], words[0]), (templates[1], words[0]), (templates[1], words[1])]
    cases += [(t, draw.plain.choice(words)) for t in templates]
    cases += [(templates[i % 3], word) for i, word in enumerate(words)]
    cases += [(template, "x {mask} y") for template in templates]
    compare(
        fill,
        cases,
        _filled,
        mistakes={
            "a slot is left: end where {mask} begins": lambda t, x: t.replace("{text}", x),
            "the text ends in a space: it belongs to the label word (' great'), and a lone space "
            "is a piece that the model hardly ever saw": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x)
            ),
            "the words have lost their spaces: only the space in front of the answer goes": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).replace(" ", "").strip()
            ),
            "a review that mentions {mask} is cut short: braces inside the review are not slots, "
            "so look for {mask} first and replace the text last": (
                lambda t, x: t.replace("{text}", x).partition("{mask}")[0].removesuffix(" ")
            ),
            "a review that mentions {mask} is cut short (and more than one space goes): braces "
            "inside the review are not slots, so replace the text last": (
                lambda t, x: t.replace("{text}", x).partition("{mask}")[0].rstrip()
            ),
            "braces inside the review are not slots; replace the text last": (
                lambda t, x: t.replace("{text}", x).split("{")[0].removesuffix(" ")
            ),
            "str.format reads every brace as a slot, also those of the review or after it": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).format().rstrip(" ")
            ),
            "the new line in front of {mask} is gone: only a space goes": (
                lambda t, x: t.partition("{mask}")[0].rstrip().replace("{text}", x)
            ),
            "white space at the ends is gone: only the space in front of {mask} goes, and the "
            "review stays as it is": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).strip()
            ),
            "white space at the end is gone: only the space in front of {mask} goes": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).rstrip()
            ),
            "the review's own white space has changed": (lambda t, x: _filled(t, x.strip())),
            "the review's own white space was collapsed": (
                lambda t, x: _filled(t, " ".join(x.split()))
            ),
            "only the first {text} is filled: a template may hold several": (
                lambda t, x: t.partition("{mask}")[0].removesuffix(" ").replace("{text}", x, 1)
            ),
            "what stands behind {mask} is there too: end where it begins": (
                lambda t, x: t.replace("{mask}", "").replace("{text}", x).strip()
            ),
            "{mask} is gone, and what stands behind it is there: end where it begins": (
                lambda t, x: t.replace("{text}", x).replace(" {mask}", "").replace("{mask}", "")
            ),
            "the last letter is cut where no space stands in front of {mask}": (
                lambda t, x: t.partition("{mask}")[0][:-1].replace("{text}", x)
            ),
            "the review is put in as a pattern: re.sub reads its backslashes": (
                lambda t, x: re.sub(r"\{text\}", x, t.partition("{mask}")[0].removesuffix(" "))
            ),
            "the review is not put in": lambda t, x: t.partition("{mask}")[0].removesuffix(" "),
            "the text is cut in front of the space: it goes once, and only if it is there": (
                lambda t, x: t[: t.index(" {mask}")].replace("{text}", x)
            ),
        },
        traits={
            "a slot is left": lambda got, right, t, x: (
                "{text}" in got.replace(x, "") or "{mask}" in got.replace(x or " ", "")
            ),
            "the text ends in a space: it belongs to the label word (' great'), and a lone space "
            "is a piece that the model hardly ever saw": lambda got, *_: got.endswith(" "),
            "a review with braces is not read as it is: braces inside the review are not slots, "
            "so look for {mask} before the review is put in, and replace the text last": (
                lambda got, right, t, x: "{" in x and got != right
            ),
            "the text is cut short": lambda got, right, *_: got != right and right.startswith(got),
            "what stands behind {mask} is there too: end where it begins": (
                lambda got, right, *_: got != right and got.startswith(right)
            ),
        },
        where="The review in the place of each {text}, the end where {mask} begins, without the "
        "space in front of it; the review itself stays as it is",
    )
    return "filled: text in place, no space left in front of the answer"


# ---- 1.4 ----


def _ids(tokenizer, words: Sequence[str], space: str = " ", special: bool = False) -> list[list]:
    return [tokenizer(space + w, add_special_tokens=special)["input_ids"] for w in words]


def _only(pieces: list[list[int]]) -> list[int]:
    if any(len(ids) != 1 for ids in pieces):
        raise ValueError
    return [ids[0] for ids in pieces]


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
    lists = [["terrible", "great", "bad", "good"], ["great"], known[:6], known[6:14], known[14:]]
    lists += [["no", "yes", "no"], [several], ["good", several], [several, "good"]]
    cases = [(tokenizer, words) for words in lists]
    found = label_ids(tokenizer, lists[0]) if not label_ids.raised(tokenizer, lists[0]) else None
    require(
        not isinstance(found, list | tuple) or all(not isinstance(i, list) for i in found),
        f"give plain integers, one for each word, not {found!r}",
    )
    require(
        found is None or not hasattr(found, "__len__") or len(found) == 4,
        f"{len(found) if hasattr(found, '__len__') else 0} ids for 4 words",
    )
    spelt = ""
    if found is not None and all(isinstance(i, int | np.integer) for i in found):
        spelt = f"The ids for {lists[0]} spell {[tokenizer.decode([int(i)]) for i in found]!r}; "
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
            "words of several pieces are left out without a word: raise ValueError": (
                lambda t, words: [ids[0] for ids in _ids(t, words) if len(ids) == 1]
            ),
            "all pieces of a word are there: one id for each word, ValueError if it has more": (
                lambda t, words: [i for ids in _ids(t, words) for i in ids]
            ),
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
        unraised="'unputdownable' is several pieces, whose first is another word: raise ValueError",
        where=f"{spelt}behind 'It was' a space comes first, so tokenise ' great', without special "
        "tokens",
    )
    return "label words: one id each, with the space that stands in front"


# ---- 1.5 ----


def _scores(logits: Tensor, mask: Tensor, labels: list[int], shift: int = 0) -> Tensor:
    rows = []
    for row, ones in zip(logits, mask, strict=True):
        last = max(0, min(int(ones.sum()) - 1 + shift, len(row) - 1))
        at = row[last].double()
        rows.append(torch.stack([at[label] - torch.logsumexp(at, 0) for label in labels]))
    return torch.stack(rows)


def _rows_at_answer(logits: Tensor, mask: Tensor) -> Tensor:
    return logits[torch.arange(len(logits)), mask.sum(1) - 1]


def _padded(draw: Draw, lengths: list[int], width: int) -> tuple[Tensor, Tensor]:
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    return 2 * draw.normal(len(lengths), longest, width), mask


@exercise
def check_score_batch(score_batch: Guarded, draw: Draw) -> str:
    """``score_batch``: logits (B, T, V), mask (B, T), label ids → log-probabilities (B, C)."""
    shapes = [
        ([3, 5, 2], 11, [7, 2]), ([6, 1, 4, 2], 13, [12, 0, 5]), ([1], 7, [3, 6]), ([4], 9, [8]),
        ([2, 2], 6, [1, 0, 5, 4]), ([300, 270, 5], 6, [2, 4]), ([3, 4, 4, 1, 2], 400, [300, 399]),
        ([draw.whole(1, 6) for _ in range(4)], 10, draw.order(10)[:3]),
        ([draw.whole(1, 6) for _ in range(5)], 5, draw.order(5)),
    ]  # fmt: skip
    cases = [(*_padded(draw, lengths, width), labels) for lengths, width, labels in shapes]
    compare(
        score_batch,
        cases,
        _scores,
        mistakes={
            "the scores were read at the last column, which is padding in the shorter rows: read "
            "at the last position whose mask is 1": (
                lambda x, m, c: x[:, -1].log_softmax(-1)[:, c]
            ),
            "the scores were read at position 0: the answer comes at the end": (
                lambda x, m, c: x[:, 0].log_softmax(-1)[:, c]
            ),
            "the shorter rows were read one position behind the text: n ones end at position "
            "n − 1": lambda x, m, c: _scores(x, m, c, 1),
            "one position behind the text: n ones end at position n − 1, and the longest row has "
            "no position n": (
                lambda x, m, c: x[torch.arange(len(x)), m.sum(1)].log_softmax(-1)[:, c]
            ),
            "the scores were read one position too early: n ones end at position n − 1": (
                lambda x, m, c: x[torch.arange(len(x)), m.sum(1) - 2].log_softmax(-1)[:, c]
            ),
            "the scores were read one position too early: the last piece of the text says what "
            "comes next": lambda x, m, c: _scores(x, m, c, -1),
            "all rows were read where the first one ends: each has its own last position": (
                lambda x, m, c: x[:, int(m[0].sum()) - 1].log_softmax(-1)[:, c]
            ),
            "all rows were read where the shortest one ends: each has its own last position": (
                lambda x, m, c: x[:, int(m.sum(1).min()) - 1].log_softmax(-1)[:, c]
            ),
            "these are logits; a log-probability subtracts the logsumexp over the whole "
            "vocabulary": lambda x, m, c: _rows_at_answer(x, m)[:, c],
            "these are probabilities: take their logarithm (log_softmax)": (
                lambda x, m, c: _rows_at_answer(x, m).softmax(-1)[:, c]
            ),
            "the softmax runs over the label columns alone: take it over the vocabulary, then "
            "pick the columns": lambda x, m, c: _rows_at_answer(x, m)[:, c].log_softmax(-1),
            "the softmax runs over the label columns alone, and its logarithm is missing": (
                lambda x, m, c: _rows_at_answer(x, m)[:, c].softmax(-1)
            ),
            "the softmax runs over another axis than the vocabulary, over the sentences": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(0)[:, c]
            ),
            "the softmax runs over another axis than the vocabulary, over the sentences, and its "
            "logarithm is missing": lambda x, m, c: _rows_at_answer(x, m).softmax(0)[:, c],
            "the softmax runs over another axis than the vocabulary, over the positions": (
                lambda x, m, c: _rows_at_answer(x.log_softmax(1), m)[:, c]
            ),
            "the logarithm is taken twice": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(-1).log_softmax(-1)[:, c] * 2
            ),
            "log-probabilities are negative: the sign has changed": (
                lambda x, m, c: -_scores(x, m, c)
            ),
            "one row per label comes back, expected one row per sentence: (B, C)": (
                lambda x, m, c: _scores(x, m, c).T
            ),
            "the columns are sorted by id: they follow the order of `labels`": (
                lambda x, m, c: _scores(x, m, sorted(c))
            ),
            "the columns run 0, 1, …: take those of `labels`": (
                lambda x, m, c: _scores(x, m, list(range(len(c))))
            ),
            "all columns of the vocabulary are there: pick those of `labels`": (
                lambda x, m, c: _rows_at_answer(x, m).log_softmax(-1)
            ),
            "this is the mean over all positions: read at the last one whose mask is 1": (
                lambda x, m, c: x.log_softmax(-1).mean(1)[:, c]
            ),
            "this is the mean over all positions of the text: read at the last one": (
                lambda x, m, c: ((x.log_softmax(-1) * m[..., None]).sum(1) / m.sum(1)[:, None])[
                    :, c
                ]
            ),
            "this is the sum over all positions of the text: read at the last one": (
                lambda x, m, c: (x.log_softmax(-1) * m[..., None]).sum(1)[:, c]
            ),
        },
        where="scores[b, c] is the log-softmax over the vocabulary at the last position of row b "
        "whose mask is 1, in column labels[c]",
    )
    return "scored: log-probabilities at the answer slot, padding without effect"


# ---- 1.6 ----


def _wilson(
    predictions: Sequence[int], targets: Sequence[int], z: float = 1.959964, kind: str = ""
) -> tuple[float, float, float]:
    n = len(targets)
    p = sum(int(a) == int(b) for a, b in zip(predictions, targets, strict=True)) / n
    middle, below = p + z * z / (2 * n), 1 + z * z / n
    if kind == "no shift":
        middle = p
    spread = p * (1 - p) / n + z * z / (4 * n * n)
    if kind == "no second term":
        spread = p * (1 - p) / n
    if kind == "n once":
        spread = p * (1 - p) / n + z * z / (4 * n)
    half = z * spread**0.5
    if kind == "no root":
        half = z * spread
    if kind == "whole":
        below = 1.0
    if kind == "first term whole":
        return p, middle - half / below, middle + half / below
    if kind == "half whole":
        return p, middle / below - half, middle / below + half
    return p, (middle - half) / below, (middle + half) / below


def _other_interval(predictions: Sequence, targets: Sequence, kind: str) -> tuple:
    n = len(targets)
    k = sum(int(a) == int(b) for a, b in zip(predictions, targets, strict=True))
    if kind in ("wilsoncc", "exact"):
        ends = stats.binomtest(k, n).proportion_ci(method=kind)
        return k / n, float(ends.low), float(ends.high)
    p, half = k / n, 1.959964 * (k / n * (1 - k / n) / n) ** 0.5
    if kind == "clipped":
        return p, max(0.0, p - half), min(1.0, p + half)
    if kind == "agresti":
        m = n + 3.8416
        q = (k + 1.9208) / m
        half = 1.959964 * (q * (1 - q) / m) ** 0.5
        return p, q - half, q + half
    return p, p - half, p + half


@exercise
def check_accuracy(accuracy: Guarded, draw: Draw) -> str:
    """``accuracy``: predictions, targets → (value, low, high), Wilson's 95 % interval."""
    cases = [([0, 1] * 37 + [1, 0] * 13, [0, 1] * 50)]
    for n, classes in ((10, 2), (7, 3), (60, 2), (200, 4), (1, 2), (5, 2)):
        targets = [draw.whole(0, classes - 1) for _ in range(n)]
        wrong = [draw.plain.random() < 0.35 for _ in targets]
        predictions = [(y + bad) % classes for y, bad in zip(targets, wrong, strict=True)]
        cases.append((predictions, targets))
    far = [int(str(1000 + 7 * draw.whole(0, 3))) for _ in range(30)]  # ints that Python makes anew
    cases.append(([int(str(y + (i % 5 == 0))) for i, y in enumerate(far)], far))
    cases += [([1] * 20, [1] * 20), ([0] * 12, [1] * 12), ([1] * 3, [0, 1, 1])]
    cases.append(
        ([y for _, y in zip(range(40), [0, 0, 1, 2] * 10, strict=True)], [0, 1, 1, 1] * 10)
    )

    def plainly(kind: str):
        return lambda p, y: _other_interval(p, y, kind)

    def scaled(p, y):
        return tuple(100 * x for x in _wilson(p, y))

    compare(
        accuracy,
        cases,
        _wilson,
        tolerance=Tolerance(5e-5, 2e-4),
        mistakes={
            "give shares, between 0 and 1: as a share, not in percent": scaled,
            "the value is in per cent: as a share, not in percent": (
                lambda p, y: (100 * _wilson(p, y)[0], *_wilson(p, y)[1:])
            ),
            "this is the normal approximation, value ± 1.96 · sqrt(p(1−p)/n): it leaves [0, 1] "
            "near the ends; use Wilson's interval": plainly("normal"),
            "this is the normal approximation, cut at 0 and 1; use Wilson's interval": (
                plainly("clipped")
            ),
            "this is Wilson's interval with a correction for continuity, which the formula above "
            "has not": plainly("wilsoncc"),
            "this is Clopper and Pearson's exact interval (SciPy's default); ask for "
            'method="wilson"': plainly("exact"),
            "this is Agresti and Coull's interval; use Wilson's": plainly("agresti"),
            "this is a 90 % interval: z = 1.96": lambda p, y: _wilson(p, y, 1.645),
            "this is a 99 % interval: z = 1.96": lambda p, y: _wilson(p, y, 2.5758),
            "this is an interval of one standard error: z = 1.96": lambda p, y: _wilson(p, y, 1.0),
            "z is 1.96, not 2": lambda p, y: _wilson(p, y, 2.0),
            "z is 1.96, not 1.9": lambda p, y: _wilson(p, y, 1.9),
            "the ends lie too high: the whole numerator, both terms, is to divide by 1 + z²/n": (
                lambda p, y: _wilson(p, y, kind="whole")
            ),
            "only the term with the root is divided: divide by 1 + z²/n the whole numerator": (
                lambda p, y: _wilson(p, y, kind="first term whole")
            ),
            "only the middle is divided: divide by 1 + z²/n the whole numerator": (
                lambda p, y: _wilson(p, y, kind="half whole")
            ),
            "the middle is moved by z²/(2n), which is missing": (
                lambda p, y: _wilson(p, y, kind="no shift")
            ),
            "under the root z²/(4n²) is missing": (
                lambda p, y: _wilson(p, y, kind="no second term")
            ),
            "under the root stands z²/(4n²), with n squared": (
                lambda p, y: _wilson(p, y, kind="n once")
            ),
            "the root is missing": lambda p, y: _wilson(p, y, kind="no root"),
            "the lower end comes first": lambda p, y: (
                _wilson(p, y)[0], _wilson(p, y)[2], _wilson(p, y)[1],
            ),
            "the order is value, lower end, upper end": lambda p, y: (
                _wilson(p, y)[1], _wilson(p, y)[0], _wilson(p, y)[2],
            ),
            "the order is value, lower end, upper end; the value comes last here": lambda p, y: (
                _wilson(p, y)[1], _wilson(p, y)[2], _wilson(p, y)[0],
            ),
            "this counts the wrong ones": lambda p, y: _wilson(
                [int(a) == int(b) for a, b in zip(p, y, strict=True)], [0] * len(y)
            ),
            "the value is the middle of the interval, not the share that is right": lambda p, y: (
                sum(_wilson(p, y)[1:]) / 2, *_wilson(p, y)[1:],
            ),
            "the value is the number of right ones, not their share": lambda p, y: (
                _wilson(p, y)[0] * len(y), *_wilson(p, y)[1:],
            ),
            "`is` asks for the same object, which equal numbers above 256 are not: compare "
            "with ==": lambda p, y: _wilson(
                [a if a < 257 else -1 for a in p], [b if b < 257 else -2 for b in y]
            ),
            "this is the accuracy for two classes: any number of classes may come": (
                lambda p, y: _wilson([int(bool(a)) for a in p], [int(bool(b)) for b in y])
            ),
        },
        traits={
            "the value is in per cent: give it as a share, not in percent": (
                lambda got, right, *_: abs(got[0] - 100 * right[0]) < 1 and right[0] > 0
            ),
            "the value is above 1: a share of all predictions is not": (
                lambda got, *_: got[0] > 1 + 1e-6
            ),
            "the lower end comes first": lambda got, *_: got[1] > got[2],
            "the interval is as wide above the value as below it, as that of the normal "
            "approximation is; Wilson's leans towards one half": (
                lambda got, *_: (
                    abs(got[1] + got[2] - 2 * got[0]) < 1e-6 and abs(got[0] - 0.5) > 0.01
                )
            ),
            "the share of right predictions itself is another one": (
                lambda got, right, *_: abs(got[0] - right[0]) > 1e-6
            ),
            "the interval leaves 0 … 1": lambda got, *_: got[1] < -1e-3 or got[2] > 1 + 1e-3,
        },
        where="The share of right predictions, then Wilson's lower and upper end with z = 1.96",
    )  # fmt: skip
    return "accuracy: right value, Wilson's interval"
