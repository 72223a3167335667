"""Checks of notebook 08_prompt_transfer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

# ---- 8.1 ----


def _tables(draw: Draw) -> list[tuple[np.ndarray, ...]]:
    """Accuracies (S, T), the level of each target (T,), same kind and fair (S, T) bool."""
    square = np.array([[0.9, 0.7, 0.5], [0.8, 0.9, 0.6], [0.5, 0.5, 0.9]])
    kin = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]) > 0
    cases = [(square, np.array([0.6, 0.5, 0.5]), kin, ~np.eye(3, dtype=bool))]
    for sources, targets, kinds in ((4, 4, 2), (6, 6, 2), (5, 7, 3), (8, 3, 2), (12, 12, 4)):
        of_source = [i % kinds for i in range(sources)]
        of_target = [i % kinds for i in range(targets)]
        same = np.equal.outer(of_source, of_target)
        fair = (draw.uniform(sources, targets) < 0.7).numpy()
        fair[0, 0], fair[kinds, 0], fair[:, -1] = False, True, fair[:, -1] & ~same[:, -1]
        values = draw.uniform(sources, targets).double().numpy().round(3)
        cases.append((values, draw.uniform(targets).double().numpy().round(3), same, fair))
    return cases


def _over_targets(
    values: np.ndarray,
    level: np.ndarray,
    counted: np.ndarray,
    of_target: Callable[[np.ndarray], float] = np.mean,
    without: float | None = None,
) -> float:
    gains = []
    for column in range(values.shape[1]):
        own = values[counted[:, column], column] - level[column]
        if len(own):
            gains.append(of_target(own))
        elif without is not None:
            gains.append(without)
    return float(np.mean(gains))


@exercise
def check_same_kind_gain(gain: Guarded, draw: Draw) -> str:
    """``gain``: accuracies (S, T), a level (T,), same kind and fair (S, T) → mean over targets."""

    def right(values, level, same, fair):
        return _over_targets(values, level, same & fair)

    def pairs(values, level, same, fair):
        return float((values - level)[same & fair].mean())

    def by_source(values, level, same, fair):
        return _over_targets((values - level).T, np.zeros(len(values)), (same & fair).T)

    def kinds_apart(values, level, same, fair):
        columns = [i for i, rows in enumerate((same & fair).T) if rows.any()]
        columns = [i for i in columns if (~same & fair)[:, i].any()]
        means = [
            [values[(group & fair)[:, i], i].mean() for i in columns] for group in (same, ~same)
        ]
        return float(np.mean(np.subtract(*means)))

    compare(
        gain,
        _tables(draw),
        right,
        tolerance=Tolerance(1e-6, 1e-6),
        mistakes={
            "pairs that are not fair count as well, a task's own prompt among them: only fair "
            "pairs say something about transfer": (
                lambda v, level, same, fair: _over_targets(v, level, same)
            ),
            "sources of other kinds count as well: only those of the target's kind": (
                lambda v, level, same, fair: _over_targets(v, level, fair)
            ),
            "the sources of other kinds were taken: those of the target's kind": (
                lambda v, level, same, fair: _over_targets(v, level, fair & ~same)
            ),
            "this is the mean over all pairs, so targets with many sources count more: average "
            "within each target first": pairs,
            "the table is averaged along its rows, over the targets of a source: down a column, "
            "over the sources of a target": by_source,
            "the level is not subtracted": (
                lambda v, level, same, fair: _over_targets(v, 0 * level, same & fair)
            ),
            "the sign is turned round: accuracy minus level": (
                lambda v, level, same, fair: -right(v, level, same, fair)
            ),
            "this is the best source of each target: which one is best is seen afterwards only; "
            "take the mean": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, np.max)
            ),
            "a target without a fair source of its kind is averaged over nothing, which gives "
            "nan: leave it out": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, without=np.nan)
            ),
            "a target without a fair source of its kind counts as a gain of 0: leave it out": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, without=0.0)
            ),
            "one gain per target comes back, summed: take the mean over the targets": (
                lambda v, level, same, fair: (
                    right(v, level, same, fair) * int((same & fair).any(0).sum())
                )
            ),
            "these are points: a share is asked for, do not multiply by 100": (
                lambda v, level, same, fair: 100 * right(v, level, same, fair)
            ),
            "this is same kind minus other kind: the level is what gains are measured from": (
                kinds_apart
            ),
        },
        where="For each target: the mean of its fair sources of its own kind, minus its level; "
        "then the mean over the targets that have such a source",
    )
    return "same-kind gain: within a target first, fair pairs only, above its own level"


# ---- 8.2 ----


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
