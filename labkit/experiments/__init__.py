"""Named experiments: ``labkit run NAME``, a table of the paper or another grid of rows.

``base`` runs any of them row by row. The others hold the experiments, by subject: ``lester``, how a
prompt is trained, and ``soft_against_hard``, beside its controls (their rows: ``training``);
``template_family``, P-Tuning from templates that differ in a word, and ``peft_rows``, other methods
through PEFT beside it; ``order_tables``, the order of virtual tokens (tables 1–6; their rows:
``order``, read by ``order_reading``), ``order_effect``, its mean over several prompts,
``more_sentences``, the same beyond the test split, ``order_worth``, prompts that have none,
``order_dose``, what a distance from it costs, ``first_place``, where in the model it matters,
``connectivity``, prompts of two seeds, ``pruning``, fewer virtual tokens, and ``placement``, the
same ones at other places; ``searches``, looking for a better one, ``sorter_memory``, what a sorter
keeps of the given one, and ``worth_of_sorting``, where that pays; ``glue_tables``, methods over
GLUE (tables 7 and 8), and ``number_strings``, one of its tasks answered in writing; ``transfer``,
prompts that go from task to task, and ``transfer_starts``, training from there; ``few_shot``, with
few examples, from a pre-trained prompt too; ``domain_shift``, with other kinds of text;
``cross_model``, from one model to another, and ``anchor_transfer``, the same without training.
``gather`` brings rows from several folders together; ``ledger`` holds the papers' claims against
the stored results of all of them, which ``evidence`` reads.

Usage::

    result = run("lester-init", backbone="smollm2", seeds=(0, 1, 2), out="data/reference")
    result["verdict"]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from labkit.core.engines import Engine, LocalEngine, Tell
from labkit.core.errors import LabError
from labkit.experiments import (
    anchor_transfer,
    connectivity,
    cross_model,
    domain_shift,
    few_shot,
    first_place,
    glue_tables,
    lester,
    more_sentences,
    number_strings,
    order_dose,
    order_effect,
    order_tables,
    order_worth,
    peft_rows,
    placement,
    planning,
    pruning,
    searches,
    soft_against_hard,
    sorter_memory,
    template_family,
    transfer,
    transfer_starts,
    worth_of_sorting,
)
from labkit.experiments.base import result_file, runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.report import as_markdown
from labkit.experiments.base.runner import PROMPTS, REFERENCE, Note, run_grid
from labkit.experiments.base.setting import Experiment
from labkit.experiments.glue_tables import (
    as_named,
    compared_seeds,
    gains,
    mean_gain,
    printed_gains,
    tasks_in_full,
)

__all__ = [
    "EXPERIMENTS",
    "PROMPTS",
    "RECIPES",
    "REFERENCE",
    "as_named",
    "by_seed",
    "compared_seeds",
    "conclude_again",
    "gains",
    "mean_gain",
    "names",
    "printed_gains",
    "reference",
    "references",
    "run",
    "tasks_in_full",
]

_SUBJECTS = (
    order_tables,
    order_effect,
    more_sentences,
    order_worth,
    order_dose,
    first_place,
    connectivity,
    pruning,
    placement,
    glue_tables,
    number_strings,
    searches,
    sorter_memory,
    worth_of_sorting,
    soft_against_hard,
    lester,
    template_family,
    peft_rows,
    transfer,
    transfer_starts,
    few_shot,
    domain_shift,
    cross_model,
    anchor_transfer,
)
EXPERIMENTS = {
    experiment.name: experiment for subject in _SUBJECTS for experiment in subject.EXPERIMENTS
}


def names() -> list[str]:
    return list(EXPERIMENTS)


def run(
    name: str,
    *,
    profile: str = "small",
    backbone: str | None = None,
    task: str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    out: str | Path = "results",
    resume: bool = False,
    limit: int | None = None,
    on_progress: Tell | None = None,
    engine: Engine | None = None,
    only: Sequence[str] = (),
    note: Note = lambda line: None,
) -> dict:
    """Run an experiment and write ``<out>/<name>-<backbone>-<task>.json`` and ``.md``.

    Args:
        backbone: instead of the experiment's own; several with commas where it compares models.
        limit: test on a sample of that many examples (default: the experiment's own number).
        resume: keep the rows that the file has and that were made of what is asked for now, run
            the others.
        only: names of rows, or patterns such as ``minilm*``; default: all.
        note: called with lines that the user should read: rows that are made again and why.
        engine: where the rows run; None: one after the other in this process.

    Returns:
        What the file holds: ``rows``, ``summary``, ``verdict`` and how they were made.

    Raises:
        LabError: for an unknown name, or a result file that stands in the way.
    """
    return run_grid(
        _experiment(name),
        profile=profile,
        backbone=backbone,
        task=task,
        seeds=seeds,
        out=out,
        resume=resume,
        limit=limit,
        on_progress=on_progress,
        engine=engine or LocalEngine(workers=1),
        only=only,
        note=note,
    )


def estimate(
    name: str,
    *,
    profile: str = "full",
    backbone: str | None = None,
    task: str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> str:
    """How long an experiment will take on this device, as a line."""
    return runner.estimate(
        _experiment(name), profile=profile, backbone=backbone, task=task, seeds=seeds
    )


def power(
    name: str,
    *,
    profile: str = "small",
    backbone: str | None = None,
    task: str | None = None,
    only: Sequence[str] = (),
    half_width: float = planning.HALF_WIDTH,
    prompts: int = 1,
    stored: str | Path | None = None,
) -> dict:
    """The cheapest numbers of prompts, orders and sentences for a table of orders.

    Args:
        half_width: of the mean order effect's 95 % interval, as a share.
        prompts: at least that many.
        stored: folder of results with matrices to read the variances from; default: the course's.

    Raises:
        LabError: for a table whose rows keep no matrices, or one of which none is stored.
    """
    return planning.plan_table(
        _experiment(name),
        stored=Path(stored or REFERENCE),
        profile=profile,
        backbone=backbone,
        task=task,
        only=only,
        half_width=half_width,
        at_least_prompts=prompts,
    )


def _experiment(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise LabError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def markdown(result: Mapping) -> str:
    """A result as a table, in its experiment's own form."""
    return (EXPERIMENTS[result["name"]].report or as_markdown)(result)


def conclude_again(folder: Path = REFERENCE) -> list[str]:
    """Make summaries, verdicts and reports of stored results anew; rows keep what was measured.

    Returns:
        The names of the results that changed.
    """
    changed = []
    for file in sorted(folder.glob("*.json")):
        result = result_file.read(file)
        if result is None or result.get("name") not in EXPERIMENTS:
            continue
        runner.conclude(EXPERIMENTS[result["name"]], result, folder)
        if result_file.write(file, result, markdown):
            changed.append(file.stem)
    return changed


def reference(name: str, backbone: str, task: str = "rt-polarity") -> dict:
    """The result of a longer run that comes with the course.

    Raises:
        LabError: if the course comes with none.
    """
    file = REFERENCE / f"{name}-{backbone}-{task}.json"
    if not file.is_file():
        raise LabError(
            f"there is no reference result {file.name}; make it with `labkit run {name}`"
        )
    return json.loads(file.read_text(encoding="utf-8"))


def references(name: str, task: str = "rt-polarity") -> dict[str, dict]:
    """Every result of an experiment on a task that comes with the course, by its models' names."""
    found = {}
    for file in sorted(REFERENCE.glob(f"{name}-*-{task}.json")):
        result = result_file.read(file)
        if result is not None and result["name"] == name:
            found[file.stem.removeprefix(f"{name}-").removesuffix(f"-{task}")] = result
    return found


def by_seed(result: Mapping, settings: Sequence[str]) -> np.ndarray:
    """Test values (seeds, settings) of a result, NaN where a row was not run."""
    values = {(row["seed"], row["setting"]): row["value"] for row in result["rows"]}
    seeds = sorted({seed for seed, _ in values})
    return np.array([[values.get((seed, s), np.nan) for s in settings] for seed in seeds])
