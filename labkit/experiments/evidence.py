"""What a stored result says about a claim: paired differences, read by the result's own analysis.

A pointer of ``data/claims.json`` names a result file, one of :data:`READERS`, and for each reading
its words (the settings, methods or kinds that are compared). A difference above zero means that the
first one named scores higher.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from labkit.core.statistics import Difference, difference_of_scores, paired_difference
from labkit.experiments import (
    cross_model,
    domain_shift,
    few_shot,
    glue_tables,
    order_effect,
    transfer,
    transfer_starts,
)
from labkit.experiments.base.models import short
from labkit.experiments.base.rows import learned, own_matrix, paired_answers
from labkit.experiments.order import same_sentences
from labkit.experiments.order_reading import difference_in, matrix_of
from labkit.experiments.template_family import Family, cost_of_a_word
from labkit.prompt_transfer import (
    OverTargets,
    kind_difference,
    kind_of,
    over_targets,
    read_library,
    same_kind_gain,
    similarities,
    similarity_against_transfer,
)
from labkit.shuffle_probe import Probe, pooled_effect

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """One difference, and what it rests on.

    Attributes:
        difference: None where too few prompts passed the gate to compare anything; ``passed``:
            how many did.
        devices: what the prompts were scored on; None: all that the result's rows were.
        seeds: trained prompts or draws; n: how many ``unit`` the interval is about.
        about: the part of the result that it is of, such as a task; "" where there is one only.
    """

    difference: Difference | None
    seeds: int
    n: int
    about: str = ""
    unit: str = "examples"
    passed: int = 0
    devices: Sequence[str] | None = None


@dataclass(frozen=True)
class Result:
    """A stored result and its folder, which holds the files that rows name."""

    file: Path
    content: Mapping

    @classmethod
    def read(cls, file: Path) -> Result:
        return cls(file, json.loads(file.read_text(encoding="utf-8")))

    @property
    def rows(self) -> list[dict]:
        return self.content["rows"]

    def named(self, setting: str) -> list[dict]:
        return [row for row in self.rows if row["setting"] == setting]

    def probes(self, setting: str) -> dict[int, Probe]:
        """The matrices of a setting's prompts that learned, by seed."""
        folder, table = self.file.parent, self.file.stem
        probes = {
            row["seed"]: own_matrix(row, folder / matrix_of(row, table))
            for row in learned(self.named(setting))
        }
        return {seed: probe for seed, probe in probes.items() if probe is not None}

    @property
    def models(self) -> set[str]:
        return {short(row["backbone"]) for row in self.rows}

    @property
    def gates(self) -> list[bool]:
        """Of the rows that are held to a gate, whether they passed it."""
        return [row["learns"] for row in self.rows if "learns" in row]

    @property
    def devices(self) -> list[str]:
        """What rows were scored on, where they say so."""
        return devices_of(self.rows)

    @property
    def seeds(self) -> int:
        return len({row["seed"] for row in self.rows})


def devices_of(rows: Sequence[Mapping]) -> list[str]:
    return sorted({row["device"] for row in rows if "device" in row})


Reader = Callable[..., Iterator[Reading]]
"""From a result and the words of a pointer."""


# ---- any result with right and wrong answers ----


def settings(result: Result, better: str, worse: str) -> Iterator[Reading]:
    """Two settings of a table, over the seeds that have both."""
    pairs = paired_answers(result.rows, better, worse)
    if pairs is None:
        yield from _stopped_at_the_gate(result.named(better), result.named(worse))
    else:
        yield Reading(paired_difference(*pairs), *pairs[0].shape)


def settings_over_prompts(result: Result, better: str, worse: str) -> Iterator[Reading]:
    """Two settings of a table each seed of which is another prompt, over prompts and sentences."""
    pairs = paired_answers(result.rows, better, worse)
    if pairs is None or len(pairs[0]) < 2:
        yield from _stopped_at_the_gate(result.named(better), result.named(worse))
    else:
        yield Reading(pooled_effect(np.subtract(*pairs, dtype=float)), *pairs[0].shape)


def _stopped_at_the_gate(*settings: Sequence[Mapping]) -> Iterator[Reading]:
    """Where all settings were run and some of their prompts did not learn: a reading without a
    difference, which a run that is missing does not have."""
    if all(settings) and any(len(learned(rows)) < len(rows) for rows in settings):
        passed = min(len(learned(rows)) for rows in settings)
        yield Reading(None, len(settings[0]), settings[0][0]["n"], passed=passed)


# ---- the order of virtual tokens ----


def order_row(result: Result, setting: str, field: str) -> Iterator[Reading]:
    """A difference that rows about orders hold; the pooled one where there are several prompts."""
    pooled = [row for row in result.content.get("pooled", ()) if row["setting"] == setting]
    every = result.named(setting)
    if pooled and field in pooled[0]:
        on = devices_of(every)
        for row in pooled:
            difference = Difference(*row[field])
            yield Reading(difference, row["prompts"], row["n"], setting, devices=on)
        return
    if every and not learned(every):
        yield Reading(None, len(every), every[0]["n"], setting)
    rows = [row for row in learned(every) if field in row]
    for row in rows:
        about = f"{setting}, seed {row['seed']}" if len(rows) > 1 else setting
        yield Reading(difference_in(row, field), 1, row["n"], about, devices=devices_of([row]))


def order_kind(result: Result, kind: str) -> Iterator[Reading]:
    """A kind of shuffling, over prompts and sentences."""
    yield from _pooled(result, "kind", kind, size="n")


def order_on_part(result: Result, part: str) -> Iterator[Reading]:
    """A random order on a part of the sentences, each prompt on a draw of its own."""
    yield from _pooled(result, "part", part, size="sentences")


def _pooled(result: Result, field: str, value: str, size: str) -> Iterator[Reading]:
    """The mean effects over prompts whose ``field`` is ``value``; ``size``: where they say n."""
    for row in result.content.get("pooled", ()):
        if row[field] == value:
            yield Reading(Difference(*row["mean_difference"]), row["prompts"], row[size])
    if not result.content.get("pooled") and result.rows:
        yield from _stopped_at_the_gate(result.rows)


def order_kinds(result: Result, first: str, second: str) -> Iterator[Reading]:
    """How much higher one kind of shuffling leaves the score than another."""
    passed = learned(result.rows)
    for rows, about in _of_one_size(passed, lambda row: row["n"], f"{first} − {second}"):
        if len(rows) > 1:
            effects = [order_effect.effects_of(rows, kind) for kind in (first, second)]
            yield Reading(pooled_effect(effects[0] - effects[1]), *effects[0].shape, about)


def order_settings(result: Result, first: str, second: str) -> Iterator[Reading]:
    """The same for two settings of a table of accuracies, from the matrices of each prompt."""
    a, b = (result.probes(setting) for setting in (first, second))
    every = [(a[seed], b[seed]) for seed in a if seed in b and same_sentences([a[seed], b[seed]])]
    for pairs, about in _of_one_size(
        every, lambda pair: len(pair[0].targets), f"{first} − {second}"
    ):
        effects = np.array([one.correct.mean(axis=0) - o.correct.mean(axis=0) for one, o in pairs])
        if len(pairs) > 1:
            difference = pooled_effect(effects)  # (prompts, N)
        else:
            ((one, other),) = pairs
            targets, metric = one.targets, one.metric
            difference = difference_of_scores(one.predictions, other.predictions, targets, metric)
        yield Reading(difference, *effects.shape, about)


def _of_one_size(
    things: Sequence[T], size: Callable[[T], int], about: str
) -> Iterator[tuple[list[T], str]]:
    """Those scored on as many sentences together; what they are called says so if others differ."""
    sizes = dict.fromkeys(map(size, things))
    for n in sizes:
        called = about if len(sizes) == 1 else f"{about}, n = {n}"
        yield [thing for thing in things if size(thing) == n], called


# ---- methods over tasks, sizes and domains ----


def methods_by_task(result: Result, method: str, against: str) -> Iterator[Reading]:
    """Two methods of Table 8, task by task; a correlation with one seed has no interval."""
    seeds = glue_tables.compared_seeds(result.content, method, against)
    n = {row["task"]: row["n"] for row in result.rows}
    for task, difference in glue_tables.gains(result.content, method, against).items():
        if not math.isnan(difference.low):
            yield Reading(difference, len(seeds[task]), n[task], task)


def methods_by_examples(result: Result, better: str, worse: str) -> Iterator[Reading]:
    """Two methods of the few-shot table, for each number of training examples."""
    for size, pair in few_shot.answers_by_size(result.content, better, worse).items():
        yield Reading(paired_difference(*pair), *pair[0].shape, f"{size} examples")


def lead_shrinks(result: Result, better: str, worse: str) -> Iterator[Reading]:
    """How much larger a method's lead is with the fewest training examples than with the most."""
    sizes = [row["examples"] for row in result.rows]
    ends = min(sizes), max(sizes)
    right = few_shot.answers(result.content, better, worse, *ends)
    if right is not None:
        few, many = (np.subtract(*pair, dtype=float) for pair in (right[:2], right[2:]))
        about = "{} − {} examples".format(*ends)
        yield Reading(paired_difference(few, many), *few.shape, about)


def domains(result: Result) -> Iterator[Reading]:
    """Prompt minus fine-tuning in each domain that neither was trained on."""
    first, seeds = result.rows[0], len(domain_shift.compared_seeds(result.content))
    for domain, difference in domain_shift.shifts(result.content).items():
        if domain != first["task"]:
            yield Reading(difference, seeds, first["targets"][domain]["n"], domain)


# ---- templates ----


def template_scores(result: Result, better: str, worse: str) -> Iterator[Reading]:
    """Two methods of P-Tuning's family, mean over its templates."""
    family = Family.of(result.content)
    yield Reading(family.difference_of_scores(better, worse), *_size_of(family))


def template_spreads(result: Result, wider: str, narrower: str) -> Iterator[Reading]:
    """How much further one method's scores spread over the templates than another's."""
    family = Family.of(result.content)
    yield Reading(family.difference_of_spreads(wider, narrower), *_size_of(family))


def one_word(result: Result) -> Iterator[Reading]:
    """What the worst change of one word costs, on sentences that it was not chosen on."""
    n = result.rows[0]["n"]
    yield Reading(cost_of_a_word(result.content).reported, 1, n)


def _size_of(family: Family) -> tuple[int, int]:
    return len(family.seeds), family.right["free"].shape[-1]


# ---- transfer ----


def transfer_by_kind(result: Result) -> Iterator[Reading]:
    """Sources of the target's kind minus sources of other kinds."""
    table = transfer.table(result.content)
    yield _over_targets(kind_difference(table), table.seeds)


def transfer_over(result: Result, control: str) -> Iterator[Reading]:
    """Sources of the target's kind minus a control."""
    table = transfer.table(result.content)
    yield _over_targets(same_kind_gain(table, table.controls[control].mean(0)), table.seeds)


def transfer_foreseen(result: Result, metric: str) -> Iterator[Reading]:
    """Rank correlation of how alike two prompts are and how well one does on the other's task."""
    table = transfer.table(result.content)
    alike = []
    for seed in table.seeds:
        library = read_library(result.file.with_suffix(""), seed)
        alike.append(similarities([library[name] for name in table.sources], metric))
    yield _over_targets(similarity_against_transfer(table, np.array(alike)), table.seeds)


def starts(result: Result, start: str) -> Iterator[Reading]:
    """Test score from a start minus that from the vocabulary."""
    gain = transfer_starts.gains_over_plain(result.content)[start]
    yield _over_targets(gain, transfer_starts.compared_seeds(result.content, start))


def steps_saved(result: Result, start: str) -> Iterator[Reading]:
    """Share of the plain prompt's steps to its best score that a start does without."""
    saved: dict[str, list[float]] = {}
    for run in transfer_starts.reached(result.content):
        if run["start"] == start:
            saved.setdefault(run["task"], []).append(1 - run["convergence"])
    gain = over_targets([np.mean(runs) for runs in saved.values()])
    yield _over_targets(gain, transfer_starts.compared_seeds(result.content, start))


def across_models(result: Result, over: str) -> Iterator[Reading]:
    """A prompt through a map that a task of its kind trained, minus another input of that map."""
    seen = {
        (row["task"], target)
        for row in result.rows
        for target, scores in row["targets"].items()
        if scores["seen"]
    }
    gains: dict[str, list[float]] = {}
    for (trained_on, target), gain in cross_model.gains_of_own(result.content, over).items():
        if kind_of(trained_on) == kind_of(target) and (trained_on, target) not in seen:
            gains.setdefault(target, []).append(gain.value)
    gain = over_targets([np.mean(values) for values in gains.values()])
    yield _over_targets(gain, {row["seed"] for row in result.rows})


def _over_targets(mean: OverTargets, seeds: Collection[int]) -> Reading:
    return Reading(Difference(*mean[:3]), len(seeds), mean.targets, unit="targets")


READERS: dict[str, Reader] = {
    reader.__name__.replace("_", " "): reader
    for reader in (
        settings,
        settings_over_prompts,
        order_row,
        order_kind,
        order_on_part,
        order_kinds,
        order_settings,
        methods_by_task,
        methods_by_examples,
        lead_shrinks,
        domains,
        template_scores,
        template_spreads,
        one_word,
        transfer_by_kind,
        transfer_over,
        transfer_foreseen,
        starts,
        steps_saved,
        across_models,
    )
}
"""How evidence is read, by the name that a pointer calls it."""
