"""The audit: what in the paper's own tables, text and equations does not add up.

Nothing is typed here but the rules. Every finding is computed from ``data/paper``, where each cell
stands as printed; correct a cell there and its finding is gone. Cells are decimals, so sums and
differences are exact and a printed digit is compared with the digit that should stand there.

Usage::

    for finding in audit():
        print(finding.where, finding.comes_out)

Source: Liu, Cheng and Liu (2024), doi 10.20165/j.cnki.ISSN1673-629X.2024.0187.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from scipy import stats

from labkit.audit import tables as paper_tables
from labkit.core import statistics
from labkit.core.statistics import Interval

SORTER, BASELINE, FINE_TUNING = "Ours+positions", "PT", "FT"
SEVERITIES = ("arithmetic", "protocol", "prose", "equation", "not stated")


@dataclass(frozen=True)
class Finding:
    """Something that does not add up.

    Attributes:
        id: unique and stable; where: table, row, section or equation.
        paper_says, comes_out: what is printed and what it should be, or what follows from it.
        computation: how that was computed, in a line of words.
        severity: ``arithmetic`` (a printed number contradicts printed numbers), ``protocol`` (how
            scores were made or compared), ``prose`` (text against tables), ``equation``, or
            ``not stated``.
    """

    id: str
    where: str
    paper_says: str
    comes_out: str
    computation: str
    severity: str


@dataclass(frozen=True)
class Paper:
    """What the audit reads, with decimals for numbers: see ``data/paper/README.md``."""

    tables: Mapping[int, dict]
    claims: dict
    equations: dict
    labels: dict

    @classmethod
    def as_printed(cls) -> Paper:
        return cls(
            tables={n: paper_tables.printed(n, Decimal) for n in paper_tables.TABLES},
            claims=paper_tables.read("claims", Decimal),
            equations=paper_tables.read("equations", Decimal),
            labels=paper_tables.read("glue-labels", Decimal),
        )

    def cell(self, table: int, key: str | int, column: str) -> Decimal:
        return Decimal(paper_tables.row(self.tables[table], key)[column])

    def rows(self, *tables: int) -> Iterator[tuple[int, str | int, dict]]:
        """(table, key of the row, row)."""
        for number in tables:
            key = self.tables[number]["columns"][0]["name"]
            for row in self.tables[number]["rows"]:
                yield number, row[key], row

    def tasks(self, metric: str | None = None) -> list[str]:
        """Table 8's tasks, or those of them scored by ``metric``."""
        columns = self.tables[8]["columns"][1:-1]
        return [c["name"] for c in columns if metric in (None, c["metric"])]

    def mean(self, method: str) -> Decimal:
        """Of a method's scores in Table 8, exactly."""
        scores = [self.cell(8, method, task) for task in self.tasks()]
        return sum(scores) / len(scores)

    def gain(self, task: str) -> Decimal:
        """Of the paper's best method over prompt tuning, Table 8."""
        return self.cell(8, SORTER, task) - self.cell(8, BASELINE, task)

    def scores(self, task: str) -> list[Decimal]:
        """The distinct scores printed for a task in Tables 4 and 8."""
        found = {self.cell(8, key, task) for _, key, _ in self.rows(8)}
        for _, name, row in self.rows(4):
            if name == task:
                found |= {row["baseline"], row["worst"], row["best"]}
        return sorted(found)

    def label_counts(self, task: str) -> tuple[int, int]:
        """Examples of the majority and of the minority class in the public validation set."""
        row = paper_tables.row(self.labels, task)
        return row["majority"], row["minority"]

    def conclusion(self, name: str) -> str:
        return next(c["says"] for c in self.claims["conclusions"] if c["id"] == name)

    def equation(self, number: int) -> dict:
        return next(e for e in self.equations["equations"] if e["number"] == number)


def audit(paper: Paper | None = None) -> list[Finding]:
    """All findings, in the order of their severity."""
    paper = paper or Paper.as_printed()
    found = [finding for rule in RULES for finding in rule(paper)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """For people: a few lines a finding, under a heading for each severity."""
    lines = []
    for severity in SEVERITIES:
        group = [f for f in findings if f.severity == severity]
        if group:
            lines += [f"{severity} ({len(group)})", ""]
        for finding in group:
            lines += [f"  {finding.where}  [{finding.id}]"]
            lines += _wrapped("the paper", finding.paper_says)
            lines += _wrapped("comes out", finding.comes_out)
            lines += [*_wrapped("computed", finding.computation), ""]
    return [*lines, f"{len(findings)} findings"]


def _wrapped(what: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=f"    {what:<11}", subsequent_indent=" " * 15)


# ---- arithmetic ----


def wrong_means(paper: Paper) -> Iterator[Finding]:
    """Table 8's last column against the mean of the seven scores beside it."""
    for _, method, row in paper.rows(8):
        exact, stated = paper.mean(method), row["mean"]
        if _rounded(exact, stated) == stated:
            continue
        is_cut = exact.quantize(stated, ROUND_DOWN) == stated
        yield Finding(
            f"table8-mean-{method}",
            f"Table 8, row {method}",
            f"mean {stated}",
            f"{_rounded(exact, stated)} ({exact:.3f})" + (": cut, not rounded" if is_cut else ""),
            "mean of the row's seven scores",
            "arithmetic",
        )


def headline(paper: Paper) -> Iterator[Finding]:
    """The mean gain that abstract and text give, against the gain of the true means."""
    claim = paper.claims["headline"]
    after, before, stated = paper.mean(claim["of"]), paper.mean(claim["minus"]), claim["value"]
    gain = _rounded(after - before, stated)
    if gain == stated:
        return
    as_printed = paper.cell(8, claim["of"], "mean") - paper.cell(8, claim["minus"], "mean")
    yield Finding(
        "headline-gain",
        f"{claim['section'].capitalize()}; Table 8",
        claim["says"],
        f"{gain} points, or {100 * (after - before) / before:.1f} % of prompt tuning's mean; the "
        f"printed means differ by {as_printed}",
        "difference of the two rows' means, each over its seven scores",
        "arithmetic",
    )


def wrong_counts(paper: Paper) -> Iterator[Finding]:
    """Worse, better and equal orders against the number of orders that the text gives."""
    for table, key, row in paper.rows(1, 2, 3):
        stated, counted = paper.tables[table]["setting"]["orders"], _orders(row)
        if counted != stated:
            yield Finding(
                f"table{table}-orders-{key}",
                f"Table {table}, row {key}",
                f"{stated} orders",
                f"{row['worse']} + {row['better']} + {row['equal']} = {counted}",
                "sum of the orders that are worse, better and equal",
                "arithmetic",
            )


def wrong_totals(paper: Paper) -> Iterator[Finding]:
    """Table 7: train, validation and test against the total, as far as the digits can tell."""
    for _, task, row in paper.rows(7):
        parts = [Decimal(row[split]) for split in ("train", "validation", "test")]
        total = Decimal(row["total"])
        slack = sum(_half_unit(number) for number in (*parts, total))
        if abs(sum(parts) - total) > slack:
            yield Finding(
                f"table7-total-{task}",
                f"Table 7, row {task}",
                f"{total} k examples in all",
                f"{sum(parts)} k, and rounding explains {slack} k at most",
                "sum of the three splits, allowing half a unit of every last digit",
                "arithmetic",
            )


def too_many_orders(paper: Paper) -> Iterator[Finding]:
    """More new orders than n! - 1, the orders of n things other than the trained one."""
    length = paper.tables[2]["setting"]["prompt_length"]
    reported = [(2, key, length // key, _orders(row)) for _, key, row in paper.rows(2)]
    for _, key, row in paper.rows(3):
        reported.append((3, key, length - _indices(key), _orders(row)))
    for _, key, _ in paper.rows(5):
        reported.append((5, key, key, paper.tables[5]["setting"]["orders"]))
    for table, key, things, orders in reported:
        new = math.factorial(things) - 1
        if orders > new:
            yield Finding(
                f"table{table}-too-many-orders-{key}",
                f"Table {table}, row {key}",
                f"{orders} new orders",
                f"there are {new}",
                f"{things} things to exchange have {things}! orders, one of them the trained one",
                "arithmetic",
            )


# ---- how scores were made and compared ----


def same_prompt_twice(paper: Paper) -> Iterator[Finding]:
    """Prompt tuning of T5-base with 100 tokens stands in several tables: one score per task?"""
    trained = [(1, "T5-base", "sst2"), (5, 100, "stsb"), (6, "T5-base", "stsb")]
    trained += [(4, task, task) for _, task, _ in paper.rows(4)]
    for table, key, task in trained:
        here, there = paper.cell(table, key, "baseline"), paper.cell(8, BASELINE, task)
        if here == there:
            continue
        best = paper.cell(8, SORTER, task)
        against = "below" if best < here else "not below"
        yield Finding(
            f"two-scores-{task}-table{table}",
            f"Table {table}, row {key}; Table 8, row {BASELINE}",
            f"prompt tuning of T5-base on {task}: {here} and {there}",
            f"one setting, two scores {abs(here - there)} apart; {SORTER}, {best}, is {against} "
            f"the paper's own baseline of Table {table}",
            f"Table {table}'s trained order against Table 8",
            "protocol",
        )


def random_orders_win(paper: Paper) -> Iterator[Finding]:
    """The best of the random orders against the sorter with positions, per task."""
    best = {"sst2": paper.cell(1, "T5-base", "best")}
    best |= {task: row["best"] for _, task, row in paper.rows(4)}
    pairs = {task: (found, paper.cell(8, SORTER, task)) for task, found in best.items()}
    won = [task for task, (found, learned) in pairs.items() if found >= learned]
    if not won:
        return
    words = [
        f"{task} {found} {_sign(found, learned)} {learned}"
        for task, (found, learned) in pairs.items()
    ]
    yield Finding(
        "random-orders-win",
        f"Tables 1 and 4 against Table 8, row {SORTER}",
        paper.conclusion("better-order"),
        f"the best of {paper.tables[4]['setting']['orders']} random orders is at least as good on "
        f"{len(won)} of {len(pairs)} tasks: {', '.join(words)}",
        "best random order against the sorted prompt, T5-base, 100 tokens",
        "protocol",
    )


def baseline_at_majority(paper: Paper) -> Iterator[Finding]:
    """Prompt tuning that can't be told from always giving the commonest label."""
    for task in _keys(paper.labels):
        majority, minority = paper.label_counts(task)
        n = majority + minority
        share, score = Decimal(100 * majority) / n, paper.cell(8, BASELINE, task)
        others = [
            f"{key} {row[task]}"
            for _, key, row in paper.rows(8)
            if key != BASELINE and _covers(row[task], n, share)
        ]
        if score <= share or _covers(score, n, share):
            low, high = _interval(score, n)
            also = f"; nor can {', '.join(others)}" if others else ""
            yield Finding(
                f"majority-{task}",
                f"Table 8, row {BASELINE}, {task}",
                f"prompt tuning {score}",
                f"always the commonest label: {share:.1f}; {score} is [{low:.1f}, {high:.1f}] and "
                f"can't be told from it{also}",
                f"{majority} of {n} public validation labels; Wilson's 95 % interval at that n",
                "protocol",
            )


def worse_than_any_constant(paper: Paper) -> Iterator[Finding]:
    """A worst order below the minority share: below every constant answer."""
    for _, task, row in paper.rows(4):
        if task not in _keys(paper.labels):
            continue
        majority, minority = paper.label_counts(task)
        n = majority + minority
        share = Decimal(100 * minority) / n
        if row["worst"] < share:
            half = n // 2
            low, high = stats.hypergeom(n, minority, half).interval(statistics.CONFIDENCE)
            yield Finding(
                f"below-minority-{task}",
                f"Table 4, row {task}",
                f"worst order {row['worst']}",
                f"always the rarer label: {share:.1f} ({100 * low / half:.1f} to "
                f"{100 * high / half:.1f} on a random half of the set). To fall below, answers go "
                "against the labels, or are neither label and count as wrong: which, is not said",
                f"{minority} of {n} public validation labels; hypergeometric 95 % range for a half",
                "protocol",
            )


def impossible_scores(paper: Paper) -> Iterator[Finding]:
    """Scores that no number of right answers on the public validation set can give."""
    for task in _keys(paper.labels):
        n, scores = sum(paper.label_counts(task)), paper.scores(task)
        missed = [score for score in scores if not _is_possible(score, n)]
        if missed:
            yield Finding(
                f"impossible-scores-{task}",
                f"Tables 4 and 8, {task}",
                f"{', '.join(map(str, scores))}, on the test set",
                f"{len(missed)} of {len(scores)} are no k/{n}, rounded or cut: no single runs on "
                f"the {n} public validation examples; GLUE's test labels are not public",
                f"search over all k from 0 to {n}",
                "protocol",
            )


def half_of_validation(paper: Paper) -> Iterator[Finding]:
    """Small tasks whose scores all fit half of the public validation set."""
    for task in _keys(paper.labels):
        scores, n = paper.scores(task), sum(paper.label_counts(task))
        half = math.ceil(n / 2)
        if not all(_is_possible(score, half) for score in scores):
            continue
        tenths = [Decimal(k).scaleb(-1) for k in range(1001)]
        fitting = sum(_is_possible(score, half) for score in tenths) / len(tenths)
        low, high = _interval(paper.cell(8, BASELINE, task), half)
        yield Finding(
            f"half-of-validation-{task}",
            f"Tables 4 and 8, {task}; Table 7",
            f"scored on the test set, {paper.cell(7, task, 'test')} k examples",
            f"all {len(scores)} scores are k/{half}, rounded or cut, so {half} examples, half of "
            f"the validation set, are likely; prompt tuning is then [{low:.1f}, {high:.1f}]",
            f"{fitting:.0%} of all one-digit scores are k/{half}: by chance all {len(scores)} with "
            f"probability {fitting ** len(scores):.1g}",
            "protocol",
        )


def mixed_mean(paper: Paper) -> Iterator[Finding]:
    """Table 8's mean is headed by one metric and holds another."""
    heading = paper.tables[8]["columns"][-1]["metric"]
    others = [task for task in paper.tasks() if task not in paper.tasks(heading)]
    if others:
        yield Finding(
            "table8-mixed-mean",
            "Table 8, last column",
            f"mean {heading}",
            f"{', '.join(others)} in it is no {heading} but a correlation",
            "metrics of the columns that the printed means of PT and Ours come from",
            "protocol",
        )


def gains_within_noise(paper: Paper) -> Iterator[Finding]:
    """Gains of Table 8 smaller than the half-width of one score's own 95 % interval."""
    sizes = {"test": "test", "public validation": "validation"}
    small = {}
    for name, split in sizes.items():
        small[name] = [
            task
            for task in paper.tasks()
            if paper.gain(task) < _half_width(paper, task, int(1000 * paper.cell(7, task, split)))
        ]
    if small["test"]:
        yield Finding(
            "gains-within-noise",
            f"Table 8, row {SORTER}",
            paper.conclusion("every-task"),
            "; ".join(
                f"with {name} set sizes {len(tasks)} of {len(paper.tasks())} gains are below a "
                f"score's own half-width ({', '.join(tasks)})"
                for name, tasks in small.items()
            ),
            "Wilson's and Fisher's 95 % intervals at Table 7's sizes; a paired interval can be "
            "narrower and needs the predictions",
            "protocol",
        )


def lengths_within_noise(paper: Paper) -> Iterator[Finding]:
    """Table 5's changes against the interval of a correlation."""
    n = int(1000 * paper.cell(7, "stsb", "validation"))
    inside = []
    for _, length, row in paper.rows(5):
        low, high = _pearson_interval(row["baseline"], n)
        if low <= row["worst"] and row["best"] <= high:
            inside.append(length)
    if inside:
        yield Finding(
            "lengths-within-noise",
            "2.3; Table 5",
            paper.conclusion("length"),
            f"at {len(inside)} of {len(paper.tables[5]['rows'])} lengths the worst and the best of "
            "the orders lie in the trained order's own 95 % interval",
            f"Fisher's interval at {n} examples; a paired one can be narrower and needs the "
            "predictions",
            "protocol",
        )


# ---- text against tables ----


def wrong_claims(paper: Paper) -> Iterator[Finding]:
    """Each number that the text takes from a table, taken from it again."""
    for claim in paper.claims["claims"]:
        stated, found = Decimal(claim["value"]), _CLAIMS[claim["kind"]](paper, claim)
        if _rounded(found, stated) == stated:
            continue
        table, key, column = claim["of"]
        fits = _rows_that_fit(paper, claim)
        yield Finding(
            f"claim-{claim['id']}",
            f"{claim['section']}; Table {table}, row {key}, {column}",
            claim["says"],
            f"{found} {_UNITS[claim['kind']]}" + (f"; right for {', '.join(fits)}" if fits else ""),
            _how(claim),
            "prose",
        )


def already_above_fine_tuning(paper: Paper) -> Iterator[Finding]:
    """STS-B: was there anything left for the order to exceed?"""
    tuned, prompt = (paper.cell(8, method, "stsb") for method in (FINE_TUNING, BASELINE))
    if prompt > tuned:
        yield Finding(
            "stsb-above-fine-tuning",
            "4.2; Table 8, stsb",
            paper.conclusion("stsb"),
            f"prompt tuning alone, {prompt}, is above fine-tuning, {tuned}",
            f"rows {BASELINE} and {FINE_TUNING}",
            "prose",
        )


def size_of_data(paper: Paper) -> Iterator[Finding]:
    """Gains in the order of the training sets, largest first: does each one grow?"""
    tasks = sorted(paper.tasks(), key=lambda task: -Decimal(paper.cell(7, task, "train")))
    gains = [paper.gain(task) for task in tasks]
    falls = [f"{a} > {b}" for a, b, x, y in _neighbours(tasks, gains) if x > y]
    if falls:
        yield Finding(
            "size-of-data",
            "4.2; Tables 7 and 8",
            paper.conclusion("size-of-data"),
            ", ".join(f"{task} {gain}" for task, gain in zip(tasks, gains, strict=True))
            + f": not so for {', '.join(falls)}",
            f"gain of {SORTER} over {BASELINE}, tasks by the size of train, largest first",
            "prose",
        )


def longer_blocks(paper: Paper) -> Iterator[Finding]:
    """Table 2: does the best score fall as the blocks grow?"""
    units = [key for _, key, _ in paper.rows(2)]
    best = [row["best"] for _, _, row in paper.rows(2)]
    rises = [f"{a} to {b}" for a, b, x, y in _neighbours(units, best) if x < y]
    if rises:
        yield Finding(
            "longer-blocks",
            "2.1; Table 2",
            paper.conclusion("unit"),
            f"best {', '.join(map(str, best))} for units {', '.join(map(str, units))}: it rises "
            f"from {', '.join(rises)}",
            "the column of best scores, down the rows",
            "prose",
        )


def size_of_model(paper: Paper) -> Iterator[Finding]:
    """Table 6: no clear difference between models whose drops differ many times over?"""
    drops = {key: row["baseline"] - row["worst"] for _, key, row in paper.rows(6)}
    ratio = max(drops.values()) / min(drops.values())
    if ratio >= 2:
        yield Finding(
            "size-of-model",
            "2.4; Table 6",
            paper.conclusion("size-of-model"),
            f"drops of {', '.join(f'{key} {drop}' for key, drop in drops.items())}: the largest is "
            f"{ratio:.0f} times the smallest",
            "trained order minus worst order",
            "prose",
        )


def positions_alone(paper: Paper) -> Iterator[Finding]:
    """What the position module adds to the sorter, by the printed means and by the scores."""
    printed = paper.cell(8, SORTER, "mean") - paper.cell(8, "Ours", "mean")
    added = _rounded(paper.mean(SORTER) - paper.mean("Ours"), printed)
    same = [t for t in paper.tasks() if paper.cell(8, SORTER, t) == paper.cell(8, "Ours", t)]
    if added != printed:
        yield Finding(
            "positions-alone",
            f"4.2; Table 8, rows Ours and {SORTER}",
            paper.conclusion("positions"),
            f"{added} points on the mean, where the printed means differ by {printed}"
            + (f"; nothing on {', '.join(same)}" if same else ""),
            "difference of the two rows' means, each over its seven scores",
            "prose",
        )


# ---- equations ----


def wrong_gradient(paper: Paper) -> Iterator[Finding]:
    """Equation 14: the gradient that reaches Order, against the straight-through one."""
    import torch

    equation = paper.equation(14)
    prompt = torch.tensor([[1.0, 2.0], [3.0, 5.0]])  # (P, D)
    weight = torch.tensor([[1.0, -2.0], [0.5, 4.0]])  # (P, D), the gradient of some loss
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0]])  # (P, P)

    def gradient(terms: Mapping[str, float]) -> torch.Tensor:
        order = scores.softmax(-1).requires_grad_()
        one_hot = torch.eye(2)[order.argmax(-1)]
        parts = {"one_hot": one_hot, "detached": order.detach(), "order": order}
        chosen = sum(float(sign) * parts[name] for name, sign in terms.items())
        (chosen @ prompt * weight).sum().backward()
        return order.grad

    right = gradient({"one_hot": 1, "order": 1, "detached": -1})
    ratio = (gradient(equation["terms"]) / right).mean().item()
    if not math.isclose(ratio, 1, rel_tol=1e-6):
        yield Finding(
            "equation-14",
            "Equation 14",
            equation["printed"],
            f"the gradient times {ratio:+.0f}: descent climbs; straight-through is "
            "O_h + Order - detach(Order)",
            "autograd of a loss through both, on a prompt of two tokens",
            "equation",
        )


REPEATING = ((0.6, 0.4), (0.7, 0.3))
"""Order, (P, P): two steps that both prefer the first virtual token."""


def not_a_permutation(
    paper: Paper, order: Sequence[Sequence[float]] = REPEATING
) -> Iterator[Finding]:
    """Equations 11 to 13: the best virtual token of each step, with nothing against repeats."""
    equation, chosen = paper.equation(11), []
    for step in order:
        free = [j for j in range(len(step)) if j not in chosen or not equation["excludes_chosen"]]
        chosen.append(max(free, key=step.__getitem__))
    lost = sorted(set(range(len(order))) - set(chosen))
    if lost:
        yield Finding(
            "equations-11-13",
            "Equations 11 to 13",
            f"{equation['printed']} at each step; the result is an order",
            f"Order {[list(step) for step in order]} chooses indices {chosen}: {lost} is lost and "
            "another one stands twice",
            "argmax of each row of a two-row matrix",
            "equation",
        )


def unpaired_wavelengths(paper: Paper) -> Iterator[Finding]:
    """Equations 2 and 3: sine and cosine of a pair should turn at the same rate."""
    sine, cosine = (paper.equation(n)["exponent_offset"] for n in (2, 3))
    width, position = 4, 10
    angles = [position / 10_000 ** (offset / width) for offset in (sine, cosine)]
    length = math.sin(angles[0]) ** 2 + math.cos(angles[1]) ** 2
    if not math.isclose(length, 1):
        yield Finding(
            "equations-2-3",
            "Equations 2 and 3",
            f"{paper.equation(2)['printed']}; {paper.equation(3)['printed']}",
            f"sine and cosine of a pair turn at different rates: sin² + cos² = {length:.2f}, so a "
            "shift is no rotation; Vaswani et al. use 2i in both",
            f"the first pair at position {position}, width {width}",
            "equation",
        )


def unscaled_attention(paper: Paper) -> Iterator[Finding]:
    """Equation 5: how wide are the scores of random queries and keys?"""
    import torch

    equation, width = paper.equation(5), 768
    random = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 200, width, generator=random)  # (200, D) each
    divisor = math.sqrt(width) if equation["divisor"] == "sqrt(d)" else 1
    spread = (query @ key.T / divisor).std().item()
    if spread > 2:
        yield Finding(
            "equation-5",
            "Equation 5",
            equation["printed"],
            f"no 1/sqrt(d): scores of unit normal vectors spread by {spread:.0f} where a scaled "
            "product gives 1, and the softmax saturates",
            f"standard deviation over 200 queries and keys of width {width}, T5-base's",
            "equation",
        )


# ---- what is not said ----

_UNSAID = {
    "model": "which model the tables are about (and its score in the trained order)",
    "seeds": "how many prompts or seeds the scores are from; nothing points to more than one",
    "interval": "no interval and no test stands beside any score",
    "held_out": "the best order is chosen and reported on the same examples: a winner's curse, and "
    "no score on others",
}


def not_stated(paper: Paper) -> Iterator[Finding]:
    """What the settings of the tables leave open."""
    for name, what in _UNSAID.items():
        tables = [n for n, t in paper.tables.items() if t["setting"].get(name, "") is None]
        if tables:
            yield Finding(
                f"not-stated-{name.replace('_', '-')}",
                f"Table{'s' * (len(tables) > 1)} {', '.join(map(str, tables))}",
                "nothing",
                what,
                "none: read in headings and text",
                "not stated",
            )


RULES: tuple[Callable[[Paper], Iterator[Finding]], ...] = (
    wrong_means,
    headline,
    wrong_counts,
    wrong_totals,
    too_many_orders,
    same_prompt_twice,
    random_orders_win,
    baseline_at_majority,
    worse_than_any_constant,
    impossible_scores,
    half_of_validation,
    gains_within_noise,
    lengths_within_noise,
    mixed_mean,
    wrong_claims,
    already_above_fine_tuning,
    size_of_data,
    longer_blocks,
    size_of_model,
    positions_alone,
    not_a_permutation,
    wrong_gradient,
    unpaired_wavelengths,
    unscaled_attention,
    not_stated,
)


# ---- numbers the text takes from a table ----


def _difference(paper: Paper, claim: Mapping) -> Decimal:
    return paper.cell(*claim["of"]) - paper.cell(*claim["minus"])


def _share(paper: Paper, claim: Mapping) -> Decimal:
    """Percent of the orders."""
    return 100 * paper.cell(*claim["of"]) / paper.tables[claim["of"][0]]["setting"]["orders"]


_CLAIMS: dict[str, Callable[[Paper, Mapping], Decimal]] = {
    "cell": lambda paper, claim: paper.cell(*claim["of"]),
    "difference": _difference,
    "share": _share,
    "indices": lambda _, claim: Decimal(_indices(claim["of"][1])),
}
_UNITS = {"cell": "%", "difference": "points", "share": "%", "indices": "virtual tokens"}


def _how(claim: Mapping) -> str:
    """The computation of a claim in words."""
    table, key, column = claim["of"]
    place = f"{key}, {column}"
    if claim["kind"] == "difference":
        other, other_key, other_column = claim["minus"]
        return f"Table {table}: {place}, minus Table {other}: {other_key}, {other_column}"
    if claim["kind"] == "indices":
        return f"{key} with both ends counted; the first index is 0"
    return f"Table {table}: {place}" + (" of all orders" if claim["kind"] == "share" else "")


def _rows_that_fit(paper: Paper, claim: Mapping) -> list[str]:
    """Other rows of the table for which a wrong difference would be right."""
    if claim["kind"] != "difference":
        return []
    table, own, column = claim["of"]
    others = [key for _, key, _ in paper.rows(table) if key not in (own, claim["minus"][1])]
    return [
        str(key)
        for key in others
        if _difference(paper, {**claim, "of": [table, key, column]}) == claim["value"]
    ]


# ---- small things ----


def _rounded(value: Decimal, like: Decimal) -> Decimal:
    """To as many digits as ``like`` has, halves up."""
    return value.quantize(like, ROUND_HALF_UP)


def _half_unit(number: Decimal) -> Decimal:
    """Of the last digit: 0.05 for 1.5."""
    return Decimal(1).scaleb(number.as_tuple().exponent) / 2


def _is_possible(score: Decimal, n: int) -> bool:
    """Whether some k of n right answers, in percent, is ``score``, rounded or cut."""
    near = int(score * n / 100)
    return any(
        score in (_rounded(exact, score), exact.quantize(score, ROUND_DOWN))
        for exact in (Decimal(100 * k) / n for k in (near, near + 1) if k <= n)
    )


def _orders(row: Mapping) -> int:
    return row["worse"] + row["better"] + row["equal"]


def _indices(span: str) -> int:
    """How many indices ``0-80`` holds: both ends count."""
    first, last = map(int, span.split("-"))
    return last - first + 1


def _keys(table: Mapping) -> list[str]:
    return [row[table["columns"][0]["name"]] for row in table["rows"]]


def _neighbours(names: Sequence, values: Sequence) -> Iterator[tuple]:
    """(name, next name, value, next value)."""
    return zip(names[:-1], names[1:], values[:-1], values[1:], strict=True)


def _sign(a: Decimal, b: Decimal) -> str:
    return "=" if a == b else ">" if a > b else "<"


def _interval(score: Decimal, n: int) -> Interval:
    """Wilson's, of an accuracy in percent."""
    low, high = statistics.accuracy_interval((round(float(score) / 100 * n), n))
    return Interval(100 * low, 100 * high)


def _pearson_interval(score: Decimal, n: int) -> Interval:
    """Fisher's, of a correlation in percent, from r and n alone."""
    z, half = math.atanh(float(score) / 100), statistics.Z / math.sqrt(n - 3)
    return Interval(100 * math.tanh(z - half), 100 * math.tanh(z + half))


def _half_width(paper: Paper, task: str, n: int) -> float:
    interval = _interval if task in paper.tasks("accuracy") else _pearson_interval
    low, high = interval(paper.cell(8, BASELINE, task), n)
    return (high - low) / 2


def _covers(score: Decimal, n: int, value: Decimal) -> bool:
    low, high = _interval(score, n)
    return low <= value <= high
