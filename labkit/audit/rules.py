"""The rules of the audit: each looks at printed numbers and yields what is wrong with them.

A rule yields one mapping for each thing that does not add up, and nothing where all is right. Its
values fill the texts of the statement in ``data/paper/statements.json`` that names the rule; the
statement also says, as ``given``, what the rule is asked about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from scipy import stats

from labkit.audit import claims, equations
from labkit.audit.numbers import (
    accuracy_interval,
    covers,
    cut,
    falls,
    indices,
    is_possible,
    pearson_interval,
    possible_share,
    rounded,
    rounding_slack,
)
from labkit.audit.paper import Paper
from labkit.core.statistics import CONFIDENCE

SORTER, BASELINE = "Ours+positions", "PT"
Violations = Iterator[Mapping[str, object]]


# ---- arithmetic ----


def mean_of_row(paper: Paper) -> Violations:
    """Table 8's last column against the mean of the seven scores beside it."""
    for _, method, row in paper.rows(8):
        exact, stated = paper.mean(method), row["mean"]
        right = rounded(exact, stated)
        if right != stated:
            how = ": cut, not rounded" if cut(exact, stated) == stated else ""
            yield dict(row=method, stated=stated, right=right, exact=exact, how=how)


def gain_of_means(paper: Paper, of: str, minus: str, stated: Decimal | None = None) -> Violations:
    """A mean gain, as stated or as the printed means give it, against that of the true means."""
    printed = paper.cell(8, of, "mean") - paper.cell(8, minus, "mean")
    after, before = paper.mean(of), paper.mean(minus)
    stated = printed if stated is None else stated
    gain = rounded(after - before, stated)
    if gain != stated:
        same = [t for t in paper.tasks() if paper.cell(8, of, t) == paper.cell(8, minus, t)]
        yield dict(
            gain=gain,
            percent=100 * (after - before) / before,
            printed=printed,
            nothing_on=f"; nothing on {', '.join(same)}" if same else "",
        )


def sum_of_orders(paper: Paper, tables: Sequence[int]) -> Violations:
    """Worse, better and equal orders against the number of orders that the text gives."""
    for table, key, row in paper.rows(*tables):
        stated, counted = paper.orders(table), _orders(row)
        if counted != stated:
            parts = f"{row['worse']} + {row['better']} + {row['equal']}"
            yield dict(table=table, row=key, stated=stated, parts=parts, sum=counted)


def sum_of_splits(paper: Paper) -> Violations:
    """Table 7: train, validation and test against the total, as far as the digits can tell."""
    for _, task, row in paper.rows(7):
        parts = [Decimal(row[split]) for split in ("train", "validation", "test")]
        total = Decimal(row["total"])
        slack = rounding_slack((*parts, total))
        if abs(sum(parts) - total) > slack:
            yield dict(row=task, total=total, sum=sum(parts), slack=slack)


def orders_that_exist(paper: Paper) -> Violations:
    """More new orders than n! - 1, the orders of n things other than the trained one."""
    length = paper.tables[2]["setting"]["prompt_length"]
    reported = [(2, key, length // key, _orders(row)) for _, key, row in paper.rows(2)]
    reported += [(3, key, length - indices(key), _orders(row)) for _, key, row in paper.rows(3)]
    reported += [(5, key, key, paper.orders(5)) for _, key, _ in paper.rows(5)]
    for table, key, things, orders in reported:
        new = math.factorial(things) - 1
        if orders > new:
            yield dict(table=table, row=key, things=things, orders=orders, new=new)


# ---- how scores were made and compared ----


def one_setting_one_score(paper: Paper, cells: Sequence[Sequence]) -> Violations:
    """(table, row, task): prompt tuning of T5-base with 100 tokens, against Table 8."""
    for table, key, task in cells:
        here, there = paper.cell(table, key, "baseline"), paper.cell(8, BASELINE, task)
        if here != there:
            best = paper.cell(8, SORTER, task)
            yield dict(
                table=table,
                row=key,
                task=task,
                here=here,
                there=there,
                apart=abs(here - there),
                best=best,
                against="below" if best < here else "not below",
            )


def random_orders_win(paper: Paper) -> Violations:
    """The best of the random orders against the sorter with positions, per task."""
    random = {"sst2": paper.cell(1, "T5-base", "best")}
    random |= {task: row["best"] for _, task, row in paper.rows(4)}
    pairs = {task: (best, paper.cell(8, SORTER, task)) for task, best in random.items()}
    won = [task for task, (best, learned) in pairs.items() if best >= learned]
    if won:
        words = [f"{task} {a} {_sign(a, b)} {b}" for task, (a, b) in pairs.items()]
        yield dict(orders=paper.orders(4), won=len(won), tasks=len(pairs), scores=", ".join(words))


def majority_baseline(paper: Paper) -> Violations:
    """Prompt tuning that can't be told from always giving the commonest label."""
    for task in paper.labelled_tasks():
        majority, minority = paper.label_counts(task)
        n = majority + minority
        share, score = Decimal(100 * majority) / n, paper.cell(8, BASELINE, task)
        if score <= share or covers(score, n, share):
            others = [
                f"{method} {row[task]}"
                for _, method, row in paper.rows(8)
                if method != BASELINE and covers(row[task], n, share)
            ]
            yield dict(
                task=task,
                score=score,
                share=share,
                majority=majority,
                n=n,
                **_bounds(accuracy_interval(score, n)),
                also=f"; nor can {', '.join(others)}" if others else "",
            )


def below_every_constant(paper: Paper) -> Violations:
    """A worst order below the minority share: below every constant answer."""
    for task in [name for _, name, _ in paper.rows(4) if name in paper.labelled_tasks()]:
        majority, minority = paper.label_counts(task)
        n, worst = majority + minority, paper.cell(4, task, "worst")
        share = Decimal(100 * minority) / n
        if worst < share:
            half = n // 2
            low, high = stats.hypergeom(n, minority, half).interval(CONFIDENCE)
            yield dict(
                row=task,
                worst=worst,
                share=share,
                minority=minority,
                n=n,
                low=100 * low / half,
                high=100 * high / half,
            )


def possible_scores(paper: Paper) -> Violations:
    """Scores that no number of right answers on the public validation set can give."""
    for task in paper.labelled_tasks():
        n, scores = sum(paper.label_counts(task)), paper.scores(task)
        missed = [score for score in scores if not is_possible(score, n)]
        if missed:
            yield dict(
                task=task,
                n=n,
                missed=len(missed),
                count=len(scores),
                scores=", ".join(map(str, scores)),
            )


def half_of_validation(paper: Paper) -> Violations:
    """Small tasks whose scores all fit half of the public validation set."""
    for task in paper.labelled_tasks():
        scores, half = paper.scores(task), math.ceil(sum(paper.label_counts(task)) / 2)
        if all(is_possible(score, half) for score in scores):
            fitting = possible_share(half)
            yield dict(
                task=task,
                size=paper.cell(7, task, "test"),
                count=len(scores),
                half=half,
                fitting=fitting,
                chance=fitting ** len(scores),
                **_bounds(accuracy_interval(paper.cell(8, BASELINE, task), half)),
            )


def one_metric_in_a_mean(paper: Paper) -> Violations:
    """Table 8's mean is headed by one metric and holds another."""
    heading = paper.tables[8]["columns"][-1]["metric"]
    others = [task for task in paper.tasks() if task not in paper.tasks(heading)]
    if others:
        yield dict(metric=heading, others=", ".join(others))


def gains_beyond_noise(paper: Paper) -> Violations:
    """Gains of Table 8 smaller than the half-width of one score's own 95 % interval."""
    small = {split: _gains_in_noise(paper, split) for split in ("test", "validation")}
    if small["test"]:
        yield dict(
            gains=len(paper.tasks()),
            **{f"{split}_count": len(tasks) for split, tasks in small.items()},
            **{f"{split}_tasks": ", ".join(tasks) for split, tasks in small.items()},
        )


def lengths_beyond_noise(paper: Paper) -> Violations:
    """Table 5's changes against the interval of a correlation."""
    n = int(1000 * paper.cell(7, "stsb", "validation"))
    rows, inside = [row for _, _, row in paper.rows(5)], 0
    for row in rows:
        low, high = pearson_interval(row["baseline"], n)
        inside += low <= row["worst"] and row["best"] <= high
    if inside:
        yield dict(inside=inside, lengths=len(rows), n=n)


# ---- text against tables ----


def baseline_not_above(paper: Paper, task: str, than: str) -> Violations:
    """Prompt tuning above a method that the paper's own is said to exceed."""
    prompt, other = paper.cell(8, BASELINE, task), paper.cell(8, than, task)
    if prompt > other:
        yield dict(prompt=prompt, other=other)


def gains_grow_as_data_shrink(paper: Paper) -> Violations:
    """Gains in the order of the training sets, largest first: does each one grow?"""
    tasks = sorted(paper.tasks(), key=lambda task: -Decimal(paper.cell(7, task, "train")))
    gains = [_gain(paper, task) for task in tasks]
    if wrong := falls(tasks, gains):
        yield dict(
            gains=", ".join(f"{task} {gain}" for task, gain in zip(tasks, gains, strict=True)),
            falls=", ".join(f"{a} > {b}" for a, b in wrong),
        )


def best_falls_with_blocks(paper: Paper) -> Violations:
    """Table 2: does the best score fall as the blocks grow?"""
    units, best = zip(*((key, row["best"]) for _, key, row in paper.rows(2)), strict=True)
    if rises := falls(units, [-score for score in best]):
        yield dict(
            best=", ".join(map(str, best)),
            units=", ".join(map(str, units)),
            rises=", ".join(f"{a} to {b}" for a, b in rises),
        )


def drops_alike(paper: Paper, factor: Decimal) -> Violations:
    """Table 6: no clear difference between models whose drops differ many times over?"""
    drops = {key: row["baseline"] - row["worst"] for _, key, row in paper.rows(6)}
    ratio = max(drops.values()) / min(drops.values())
    if ratio >= factor:
        yield dict(drops=", ".join(f"{k} {drop}" for k, drop in drops.items()), ratio=ratio)


def settings_stated(paper: Paper, name: str) -> Violations:
    """What the settings of the tables leave open."""
    silent = [n for n, table in paper.tables.items() if table["setting"].get(name, "") is None]
    if silent:
        yield dict(s="s" * (len(silent) > 1), tables=", ".join(map(str, silent)))


RULES: Mapping[str, Callable[..., Violations]] = {
    rule.__name__: rule
    for rule in (
        *(mean_of_row, gain_of_means, sum_of_orders, sum_of_splits, orders_that_exist),
        *(one_setting_one_score, random_orders_win, majority_baseline, below_every_constant),
        *(possible_scores, half_of_validation, gains_beyond_noise, lengths_beyond_noise),
        *(one_metric_in_a_mean, claims.claims_hold, baseline_not_above, gains_grow_as_data_shrink),
        *(best_falls_with_blocks, drops_alike, settings_stated),
        *(equations.keeps_every_token, equations.straight_through),
        *(equations.paired_wavelengths, equations.scaled_attention),
    )
}


# ---- small things ----


def _orders(row: Mapping) -> int:
    return row["worse"] + row["better"] + row["equal"]


def _gain(paper: Paper, task: str) -> Decimal:
    """Of the paper's best method over prompt tuning, Table 8."""
    return paper.cell(8, SORTER, task) - paper.cell(8, BASELINE, task)


def _gains_in_noise(paper: Paper, split: str) -> list[str]:
    """Tasks whose gain is below the half-width of prompt tuning's interval at a split's size."""
    accuracies, small = paper.tasks("accuracy"), []
    for task in paper.tasks():
        interval = accuracy_interval if task in accuracies else pearson_interval
        size = int(1000 * paper.cell(7, task, split))
        low, high = interval(paper.cell(8, BASELINE, task), size)
        if _gain(paper, task) < (high - low) / 2:
            small.append(task)
    return small


def _bounds(interval: Sequence[float]) -> dict[str, float]:
    return dict(zip(("low", "high"), interval, strict=True))


def _sign(a: Decimal, b: Decimal) -> str:
    return "=" if a == b else ">" if a > b else "<"
