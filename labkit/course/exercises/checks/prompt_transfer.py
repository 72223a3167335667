"""Checks of notebook 08_prompt_transfer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require, under_other_hashes
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

# ---- 8.1 ----


def _cosine(x: list[float], y: list[float]) -> float:
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def _of_means(a: Tensor, b: Tensor) -> float:
    return _cosine(*(torch.stack(list(p.double())).mean(0).tolist() for p in (a, b)))


@exercise
def check_task_similarity(similarity: Guarded, draw: Draw) -> str:
    """``similarity``: prompts (P, D) and (Q, D) → cosine of their mean virtual tokens."""
    shapes = [(4, 7, 6), (3, 3, 4), (1, 5, 3), (5, 1, 3), (1, 1, 8), (20, 20, 2), (6, 6, 6)]
    cases = [(draw.normal(p, d), draw.normal(q, d)) for p, q, d in shapes]
    cases += [(3 * draw.normal(4, 5) + 2, 0.01 * draw.normal(2, 5)) for _ in range(2)]
    cases += [(torch.eye(3)[:2], torch.eye(3)[1:]), (torch.eye(3), -torch.eye(3))]
    same = draw.normal(3, 4)
    cases += [(same, same), (same, 7 * same), (same, same.flip(0))]
    cosine = nn.functional.cosine_similarity

    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T

    def laid_out(a: Tensor, b: Tensor) -> Any:
        return float(cosine(a.flatten(), b.flatten(), dim=0))

    def of(make: Callable[[Tensor], Tensor]):
        return lambda a, b: _cosine(make(a).tolist(), make(b).tolist())

    compare(
        similarity,
        cases,
        _of_means,
        tolerance=Tolerance(1e-4, 2e-5),
        mistakes={
            "prompts of different lengths are laid out flat, and can't be compared: average over "
            "the tokens first, then both are one row of width D": laid_out,
            "this is the mean of all pairwise cosines: take the means first, then one cosine": (
                lambda a, b: float(pairs(a, b).mean())
            ),
            "this is the largest of all pairwise cosines: take the means first, then one cosine": (
                lambda a, b: float(pairs(a, b).max())
            ),
            "the tokens are compared one by one: average over them first, prompts may have "
            "different lengths": lambda a, b: float(cosine(a, b, dim=-1).mean()),
            "the tokens are compared one by one, each column by itself: average over them first": (
                lambda a, b: float(cosine(a, b, dim=0).mean())
            ),
            "one cosine per pair of tokens comes back: average over the tokens first": pairs,
            "the product is not divided by the two lengths: it is no cosine yet": (
                lambda a, b: float(a.mean(0) @ b.mean(0))
            ),
            "the product is divided by the squares of the lengths": (
                lambda a, b: float(
                    a.mean(0) @ b.mean(0) / ((a.mean(0) ** 2).sum() * (b.mean(0) ** 2).sum())
                )
            ),
            "divided by one of the two lengths: by both": (
                lambda a, b: float(a.mean(0) @ b.mean(0) / a.mean(0).norm())
            ),
            "divided by the length of the second alone: by both": (
                lambda a, b: float(a.mean(0) @ b.mean(0) / b.mean(0).norm())
            ),
            "this is a distance: a cosine looks at the direction only": (
                lambda a, b: float((a.mean(0) - b.mean(0)).norm())
            ),
            "this is a likeness by distance, 1 / (1 + distance): a cosine looks at the direction "
            "only": lambda a, b: 1 / (1 + float((a.mean(0) - b.mean(0)).norm())),
            "this is one minus the distance: a cosine looks at the direction only": (
                lambda a, b: 1 - float((a.mean(0) - b.mean(0)).norm())
            ),
            "this is one minus the cosine: the cosine itself is asked for": (
                lambda a, b: 1 - _of_means(a, b)
            ),
            "this is the distance with its sign turned: a cosine looks at the direction only": (
                lambda a, b: -float((a.mean(0) - b.mean(0)).norm())
            ),
            "the medians over the virtual tokens are compared: average over them": (
                lambda a, b: _cosine(a.median(0).values.tolist(), b.median(0).values.tolist())
            ),
            "negative cosines became 0: opposite prompts have −1": (
                lambda a, b: max(0.0, _of_means(a, b))
            ),
            "this is the size of the cosine without its sign": lambda a, b: abs(_of_means(a, b)),
            "the mean runs over the columns: average over the virtual tokens, the rows": (
                lambda a, b: _cosine(a.mean(1).tolist(), b.mean(1).tolist())
            ),
            "this is the correlation: a cosine does not take the mean over the width away": (
                of(lambda p: p.mean(0) - p.mean(0).mean())
            ),
            "only the first virtual token is compared: average over all": of(lambda p: p[0]),
            "only the last virtual token is compared: average over all": of(lambda p: p[-1]),
            "the largest entries over the tokens are compared: average over them": (
                of(lambda p: p.max(0).values)
            ),
            "each token was given length one before averaging: average the tokens as they are": (
                of(lambda p: nn.functional.normalize(p, dim=-1).mean(0))
            ),
            "the longer prompt was cut to the shorter: average over all virtual tokens": (
                lambda a, b: _of_means(a[: min(len(a), len(b))], b[: min(len(a), len(b))])
            ),
            "this is the angle: its cosine is asked for": lambda a, b: math.acos(
                max(-1.0, min(1.0, _of_means(a, b)))
            ),
        },
        where="Average over the virtual tokens (the rows) of each, then one cosine",
    )
    return "task similarity: one direction per prompt, any length, any order"


# ---- 8.2 ----


def _overlap(a: Tensor, b: Tensor) -> float:
    first = {i for i, on in enumerate(a.tolist()) if on}
    second = {i for i, on in enumerate(b.tolist()) if on}
    if not first or not second:
        return 0.0
    return len(first & second) / math.sqrt(len(first) * len(second))


@exercise
def check_overlap(overlap: Guarded, draw: Draw) -> str:
    """``overlap``: two sets of active neurons (N,) bool → |A ∩ B| / sqrt(|A| · |B|)."""
    a = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool)
    b = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0], dtype=torch.bool)
    nothing = torch.zeros(8, dtype=torch.bool)
    cases = [(a, b), (b, a), (a, a), (a, ~a), (~nothing, b), (a, nothing), (nothing, a)]
    cases.append((nothing, nothing))
    shares = ((12, 0.5, 0.3), (30, 0.8, 0.4), (1000, 0.6, 0.6), (3000, 0.9, 0.2))
    for size, share, other in shares:
        cases.append((draw.uniform(size) < share, draw.uniform(size) < other))
    cases += [
        (draw.uniform(5) < 0.5, draw.uniform(5) < 0.7),
        (torch.ones(1) > 0, torch.ones(1) > 0),
    ]

    def of(formula: Callable[[int, int, int, int], float], empty: float | None = 0.0):
        def computed(a: Tensor, b: Tensor) -> float:
            both, first, second = int((a & b).sum()), int(a.sum()), int(b.sum())
            if not first * second and empty is not None:
                return empty
            return float(formula(both, first, second, len(a)))

        return computed

    def tensor_nan(a: Tensor, b: Tensor) -> float:
        both = float((a & b).sum())
        return float(torch.tensor(both) / (a.sum() * b.sum()).sqrt())

    formulas = {
        "divided by the union: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / (a + b - c),
        "divided by the larger set: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / max(a, b),
        "divided by the smaller set: then a set within another overlaps fully": (
            lambda c, a, b, n: c / min(a, b)
        ),
        "divided by the first set alone: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / a,
        "divided by the second set alone: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / b,
        "this is Dice's share, 2 · |A ∩ B| / (|A| + |B|): divide by sqrt(|A| · |B|)": (
            lambda c, a, b, n: 2 * c / (a + b)
        ),
        "divided by all neurons: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / n,
        "the root is missing: divide by sqrt(|A| · |B|)": lambda c, a, b, n: c / (a * b),
        "the root is taken of the whole: divide by sqrt(|A| · |B|)": (
            lambda c, a, b, n: (c / (a * b)) ** 0.5
        ),
        "divided by the root of the sum, not of the product": (
            lambda c, a, b, n: c / math.sqrt(a + b)
        ),
        "nothing is divided: |A ∩ B| by sqrt(|A| · |B|)": lambda c, a, b, n: c,
        "the union stands above the line: those active in both": (
            lambda c, a, b, n: (a + b - c) / math.sqrt(a * b)
        ),
        "the square of it: the root is on the product alone": lambda c, a, b, n: c * c / (a * b),
        "neurons that are off in both count as well: only those active in both should": (
            lambda c, a, b, n: (n - a - b + 2 * c) / n
        ),
        "neurons that are off in both count as well (above the line): only those active in both": (
            lambda c, a, b, n: (n - a - b + 2 * c) / math.sqrt(a * b)
        ),
    }
    compare(
        overlap,
        cases,
        _overlap,
        mistakes={
            "where no neuron is active the overlap is 0, not a division by zero": (
                of(lambda c, a, b, n: c / math.sqrt(a * b), empty=None)
            ),
            "where no neuron is active the overlap is 0, not nan, a division by zero": tensor_nan,
            "where no neuron is active the overlap is 0, not 1": (
                of(lambda c, a, b, n: c / math.sqrt(a * b), empty=1.0)
            ),
            **{hint: of(formula) for hint, formula in formulas.items()},
            **{
                f"{hint}; and where no neuron is active the overlap is 0": of(formula, empty=None)
                for hint, formula in formulas.items()
            },
        },
        where="The number of neurons active in both, divided by sqrt(|A| · |B|); 0 where a set is "
        "empty",
    )
    return "overlap: the cosine of two sets of neurons"


# ---- 8.3 ----


def _best(similarities: list[float], k: int) -> list[int]:
    return sorted(range(len(similarities)), key=lambda i: -similarities[i])[:k]


def _mean_of(prompts: list[Tensor], weights: list[float], which: list[int]) -> Tensor:
    total = sum(weights[i] for i in which)
    return sum(weights[i] * prompts[i].double() for i in which) / total


@exercise
def check_average_start(average: Guarded, draw: Draw) -> str:
    """``average``: prompts, their similarities, k → weighted mean of the k most alike (P, D)."""
    cases = []
    for count, p, d, k in ((4, 3, 4, 2), (5, 2, 3, 3), (4, 3, 4, 1), (3, 1, 2, 3), (1, 2, 2, 1),
                           (7, 3, 3, 4), (6, 4, 1, 5), (5, 5, 5, 2)):  # fmt: skip
        alike = [round(0.05 + 0.13 * i + 0.1 * draw.plain.random(), 3) for i in range(count)]
        low = list(range(count - k))
        alike = [s - 1.0 if i in low and i % 2 else s for i, s in enumerate(alike)]
        mixed = draw.order(count)
        cases.append(([draw.normal(p, d) for _ in range(count)], [alike[i] for i in mixed], k))
    cases[0] = (cases[0][0], [0.1, 0.6, -0.5, 0.2], 2)

    def right(prompts: list[Tensor], s: list[float], k: int) -> Tensor:
        return _mean_of(prompts, s, _best(s, k))

    def weighed(weights: Callable[[list[float]], list[float]]):
        def made(prompts, s, k):
            chosen = _best(s, k)
            values = weights([s[i] for i in chosen])
            return _mean_of([prompts[i] for i in chosen], values, list(range(len(chosen))))

        return made

    def softmax(values):
        return torch.tensor(values).double().softmax(0).tolist()

    compare(
        average,
        cases,
        right,
        mistakes={
            "these are the first k prompts of the list, not the k most alike": (
                lambda p, s, k: _mean_of(p, s, list(range(k)))
            ),
            "these are the first k prompts of the list, each counting the same, not the k most "
            "alike": lambda p, s, k: _mean_of(p, [1.0] * len(p), list(range(k))),
            "these are the last k prompts of the list, not the k most alike": (
                lambda p, s, k: _mean_of(p, s, list(range(len(p) - k, len(p))))
            ),
            "the weights do not sum to 1: divide by their sum, or the start shrinks towards zero": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k))
            ),
            "divided by k, not by the sum of the similarities: the start shrinks": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k)) / k
            ),
            "divided by the sum of all similarities: by that of the k most alike": (
                lambda p, s, k: right(p, s, k) * sum(s[i] for i in _best(s, k)) / sum(s)
            ),
            "all k count the same: weight each by its similarity": (
                weighed(lambda values: [1.0] * len(values))
            ),
            "the least alike were taken: sort from high to low": (
                lambda p, s, k: _mean_of(p, s, sorted(range(len(p)), key=lambda i: s[i])[:k])
            ),
            "k is not used: all prompts count": (
                lambda p, s, k: _mean_of(p, s, list(range(len(p))))
            ),
            "k is not used, and all prompts count the same": (
                lambda p, s, k: _mean_of(p, [1.0] * len(p), list(range(len(p))))
            ),
            "only the most alike is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, 1))
            ),
            "one too few is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, max(k - 1, 1)))
            ),
            "one too many is taken: the k most alike": (
                lambda p, s, k: _mean_of(p, s, _best(s, k + 1))
            ),
            "the size of the similarity without its sign decides: −0.5 is not alike": (
                lambda p, s, k: _mean_of(p, s, _best([abs(x) for x in s], k))
            ),
            "the size of the similarity without its sign decides and weighs: −0.5 is not alike": (
                lambda p, s, k: _mean_of(p, [abs(x) for x in s], _best([abs(x) for x in s], k))
            ),
            "the weights are a softmax of the similarities: they are the similarities, divided by "
            "their sum": weighed(softmax),
            "the weights are the squares of the similarities": (
                weighed(lambda values: [value**2 for value in values])
            ),
            "the weights stand beside other prompts: sort both alike": (
                weighed(lambda values: values[::-1])
            ),
            "the weights are the first k similarities, not those of the chosen prompts": (
                lambda p, s, k: _mean_of([p[i] for i in _best(s, k)], s[:k], list(range(k)))
            ),
            "one row is left: average over the prompts, not over their virtual tokens": (
                lambda p, s, k: right(p, s, k).mean(0)
            ),
            "the chosen prompts come back, weighted: sum them": (
                lambda p, s, k: torch.stack([s[i] * p[i] for i in _best(s, k)])
            ),
        },
        where="Of the k prompts with the highest similarity, Σ similarity · prompt / Σ similarity",
    )
    return "average start: the k most alike, weights that sum to one"


# ---- 8.4 ----


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
    _salted(pairs, many)
    return "next-sentence pairs: neighbours only, as many from elsewhere, repeatable"


def _draws_of(pairs: Guarded, text: dict, start: int) -> None:
    """What the seed does to the sentences from elsewhere."""
    drawn: dict[int, list] = {}
    for seed in (start, start + 1, start + 2, start, start + 1):
        made = [row for row in _pairs_of(pairs, text, seed) if row[2] == "other"]
        require(
            drawn.setdefault(seed, made) == made,
            "the same seed should give the same pairs: draw from random.Random(seed), and keep "
            "nothing between calls",
        )
    different = len({tuple(made) for made in drawn.values()}) > 1
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
    places = {second.partition(".")[2] for made in drawn.values() for _, second, _ in made}
    require(
        len(places) > 8,
        f"only the sentences at places {sorted(places)} are drawn: any of another document",
    )


def _salted(pairs: Guarded, text: dict) -> None:
    def everything(salt: Callable[[str], str]) -> tuple:
        rows = {salt(name): [(at, salt(s)) for at, s in rows] for name, rows in text.items()}
        return rows, 1

    def sentences(salt: Callable[[str], str]) -> tuple:
        return {name: [(at, salt(s)) for at, s in rows] for name, rows in text.items()}, 1

    results = under_other_hashes(pairs, everything) or under_other_hashes(pairs, sentences)
    made = {tuple(tuple(map(str.__str__, row)) for row in result) for result in results}
    require(
        len(made) < 2,
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
    made = [tuple(row) for row in result]
    labels = {label for _, _, label in made}
    strange = sorted(labels - {"next", "other"})
    require(not strange, f"a label is {strange[:1]}: use 'next' and 'other'")
    following, document, placed = set(), {}, {}
    for name, rows in text.items():
        place_of = dict(rows)
        for place, sentence in rows:
            document[sentence], placed[sentence] = name, place
            if place + 1 in place_of:
                following.add((sentence, place_of[place + 1]))
    unknown = [x for row in made for x in row[:2] if x not in document]
    require(not unknown, f"{unknown[:1]} is no sentence of the documents")
    positive = [(first, second) for first, second, label in made if label == "next"]
    negative = [(first, second) for first, second, label in made if label == "other"]
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
    return made
