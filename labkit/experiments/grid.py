"""A table is a grid of independent rows (setting × seed), run one by one.

Each finished row is written to the result file at once, so a run that is stopped leaves whole rows
and goes on with the next. The file says everything needed to run it again: command, settings,
seeds, versions, device, seconds, and for every row what any paired comparison can be computed from
later.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labkit.core import files, statistics
from labkit.core import recipe as core_recipe
from labkit.core.bundled import bundled
from labkit.core.engines import Engine, Job, silent
from labkit.core.errors import LabError
from labkit.core.loading import has_bf16
from labkit.core.scoring import matrix_rate
from labkit.core.tasks import Task, load_task

PROFILES = ("small", "full")
TASK = "rt-polarity"

PROMPTS, REFERENCE = bundled("prompts"), bundled("reference")
"""Trained prompts and results of longer runs that come with the course."""

REACHED = 0.4
"""Share of the measured matrix-product rate that training and probing reach, for estimates."""

OnProgress = Callable[[int, int, str], None]
"""Called with (rows done, rows in all, what is running)."""


@dataclass(frozen=True)
class Recipe(core_recipe.Recipe):
    """How a prompt starts and is trained: what rows of one experiment share or vary."""

    clip: float | None = None
    length: int = 20
    init: str = "vocab"


@dataclass(frozen=True)
class Setting:
    """One line of a table; experiments add what they vary.

    Attributes:
        name: what the line is called; task: instead of the experiment's own.
        paper: "table:row", where the paper prints this line.
    """

    name: str
    backbone: str
    recipe: Recipe
    task: str | None = None
    paper: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a row belongs: ``out`` holds all results, ``folder`` what belongs to this one.

    ``command`` makes the whole table again; ``limit`` is a number of test examples, None the
    experiment's own; ``tell`` takes (part done, parts in all, what is running) of the row.
    """

    out: Path
    folder: Path
    command: str
    limit: int | None = None
    tell: OnProgress = silent


@dataclass(frozen=True)
class Claim:
    """What the paper says: the setting ``better`` scores higher than ``worse``."""

    text: str
    better: str
    worse: str


RunRow = Callable[[Setting, Task, int, Place], dict]
"""Runs one setting with one seed: the row of the table."""


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        settings: its lines, from (backbone or None, profile).
        claims: what it examines; run_row: how a row comes about.
        report: the result as Markdown, default :func:`as_markdown`.
        work: arithmetic of a setting with one seed on a task, in FLOP, for an estimate.
        tasks: the task of each profile, where none is asked for.
        covers: what to call many tasks in the file's name, where each row is about all of them.
    """

    name: str
    about: str
    settings: Callable[[str | None, str], Sequence[Setting]]
    run_row: RunRow
    claims: tuple[Claim, ...] = ()
    report: Callable[[Mapping], str] | None = None
    work: Callable[[Setting, Task], float] | None = None
    tasks: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(PROFILES, TASK))
    covers: str | None = None


def run_grid(
    experiment: Experiment,
    *,
    profile: str,
    backbone: str | None,
    task: str | None,
    seeds: Sequence[int],
    out: str | Path,
    resume: bool,
    limit: int | None,
    on_progress: OnProgress | None,
    engine: Engine,
) -> dict:
    """Run an experiment's rows, see :func:`labkit.experiments.run`."""
    tell = on_progress or silent
    given = task or experiment.tasks[profile]
    chosen = load_task(given)
    settings = _for_task(experiment.settings(backbone, profile), task)
    named = "+".join(dict.fromkeys(short(setting.backbone) for setting in settings))
    command = f"labkit run {experiment.name} --profile {profile} --backbone "
    # of a folder only its name: where it lies is nobody else's business
    named_or_id = (
        s.backbone if not Path(s.backbone).is_dir() else short(s.backbone) for s in settings
    )
    command += ",".join(dict.fromkeys(named_or_id))
    tasks = list(dict.fromkeys(setting.task or chosen.name for setting in settings))
    if experiment.covers is not None:
        tasks = [experiment.covers]
    elif len(tasks) == 1:
        command += f" --task {chosen.name}"
    file = Path(out) / f"{experiment.name}-{named}-{'+'.join(tasks)}.json"
    result = _start(file, resume, name=experiment.name, task=", ".join(tasks))
    all_seeds = sorted({*seeds, *(row["seed"] for row in result["rows"])})
    command += f" --seeds {','.join(map(str, all_seeds))}"
    result |= {"command": command, "file": file.stem}
    place = Place(Path(out), file.with_suffix(""), command, limit)
    grid = [(setting.name, seed) for seed in seeds for setting in settings]
    rank = {pair: index for index, pair in enumerate(grid)}  # rows of other seeds come first
    if result["rows"]:  # the new command and report, even where nothing is left to run
        _write(file, result, experiment)
    # seed by seed: a stopped run has every setting before it has a second seed
    for seed in seeds:
        wanted = [s for s in settings if not _is_settled(result["rows"], s, seed)]
        jobs = [
            Job(
                f"{setting.name}, seed {seed}",
                _row,
                (experiment.run_row, setting, setting.task or given, seed, place),
            )
            for setting in wanted
        ]
        settled = seeds.index(seed) * len(settings) + len(settings) - len(wanted)
        for _, row in engine.results(jobs, _offset(tell, settled, len(grid))):
            result["rows"].append(row)
            result["rows"].sort(key=lambda row: rank.get((row["setting"], row["seed"]), -1))
            _write(file, result, experiment)
    tell(len(grid), len(grid), "done")
    return result


def _row(
    run_row: RunRow, setting: Setting, task: str, seed: int, place: Place, tell: OnProgress
) -> dict:
    """One row, in whatever process it runs."""
    return run_row(setting, load_task(task), seed, replace(place, tell=tell))


def _offset(tell: OnProgress, before: int, total: int) -> OnProgress:
    """Progress of some rows as part of the whole table's."""
    return lambda done, _, what: tell(before + done, total, what)


def estimate(
    experiment: Experiment,
    *,
    profile: str,
    backbone: str | None,
    task: str | None,
    seeds: Sequence[int],
) -> str:
    """How long the whole table will take here, as a line."""
    if experiment.work is None:
        return f"no estimate for {experiment.name}: its rows differ too much"
    work = sum(
        experiment.work(setting, load_task(setting.task or task or experiment.tasks[profile]))
        for setting in _for_task(experiment.settings(backbone, profile), task)
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if has_bf16(device) else torch.float32
    rate = REACHED * matrix_rate(torch.randn(3072, 768, device=device, dtype=dtype))
    hours = len(seeds) * work / rate / 3600
    return (
        f"about {len(seeds) * work / 1e15:,.1f} PFLOP, that is {hours:,.1f} hours on {device} "
        f"at {rate / 1e12:,.2f} TFLOP/s; rows are kept as they come, --resume goes on"
    )


def _for_task(settings: Sequence[Setting], task: str | None) -> list[Setting]:
    """The settings; of those that compare tasks, the ones with the task that is asked for.

    A task that they don't have takes the place of their first one.
    """
    if task is None:
        return list(settings)
    own = [setting for setting in settings if setting.task in (None, task)]
    if own:
        return own
    first = settings[0].task
    return [
        replace(setting, name=setting.name.replace(first, short(task)), task=task, paper=None)
        for setting in settings
        if setting.task == first
    ]


def _is_settled(rows: Sequence[Mapping], setting: Setting, seed: int) -> bool:
    """Whether the row is there, or not wanted: what did not learn is kept with one seed."""
    own = [row for row in rows if row["setting"] == setting.name]
    return any(row["seed"] == seed or not row.get("learns", True) for row in own)


# ---- what the rows say ----


def summarise(rows: Sequence[Mapping]) -> list[dict]:
    """Mean over seeds of each setting, with Student's 95 % interval where there are two or more."""
    summary = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        values = [row["value"] for row in rows if row["setting"] == setting]
        interval = list(statistics.mean_interval(values)) if len(values) > 1 else None
        summary.append(
            {
                "setting": setting,
                "mean": float(np.mean(values)),
                "ci95": interval,
                "seeds": len(values),
            }
        )
    return summary


def judge(rows: Sequence[Mapping], claims: Sequence[Claim]) -> list[dict]:
    """Each claim against the rows: paired difference, interval, and what follows from it.

    The bootstrap draws seeds and test examples anew; a claim is decided only where the interval
    leaves zero out.
    """
    order = list(dict.fromkeys(row["setting"] for row in rows))
    verdicts = []
    for claim in claims:
        better, worse = (_resolve(end, order) for end in (claim.better, claim.worse))
        pairs = paired_answers(rows, better, worse)
        if pairs is None:
            continue
        difference = statistics.paired_difference(*pairs)
        if difference.low > 0:
            verdict = "agrees"
        elif difference.high < 0:
            verdict = "disagrees"
        else:
            verdict = "can't tell"
        verdicts.append(
            {
                "claim": claim.text,
                "difference": difference.value,
                "ci95": [difference.low, difference.high],
                "seeds": len(pairs[0]),
                "verdict": verdict,
            }
        )
    return verdicts


def _resolve(end: str, order: Sequence[str]) -> str:
    places = {"FIRST": 0, "LAST": -1, "PREVIOUS": -2}
    if end not in places or len(order) < 2:
        return end
    return order[places[end]]


def paired_answers(
    rows: Sequence[Mapping], better: str, worse: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Correctness (seeds, N) of both settings, for the seeds that have both."""
    right = {
        (row["setting"], row["seed"]): from_digits(row["correct"])
        for row in rows
        if "correct" in row
    }
    seeds = [seed for setting, seed in right if setting == better and (worse, seed) in right]
    if not seeds:
        return None
    return (
        np.stack([right[better, seed] for seed in seeds]),
        np.stack([right[worse, seed] for seed in seeds]),
    )


# ---- what stands in rows and reports ----


def as_digits(right: Iterable) -> str:
    """Right or wrong answers (N,) as a row keeps them: a string of 0 and 1."""
    return "".join("01"[int(r)] for r in right)


def from_digits(text: str) -> NDArray[np.bool_]:
    """The answers back: (N,)."""
    return np.array([digit == "1" for digit in text])


def cells(values: Iterable) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(map(str, values)) + " |"


def report_head(result: Mapping, headings: Sequence[object], about: str = "") -> list[str]:
    """How every report begins: title, command and what else is to be said, head of the table."""
    return [
        f"# {result['name']} ({result['task']})",
        "",
        f"`{result['command']}`{about}",
        "",
        cells(headings),
        cells(["---"] * len(headings)),
    ]


# ---- result files ----


def _start(file: Path, resume: bool, **about: object) -> dict:
    if file.exists():
        if not resume:
            raise LabError(f"{file} exists; continue it with --resume, or choose another --out")
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LabError(f"{file} is damaged ({error}); move it away and run again") from error
    return {
        **about,
        "started": time.strftime("%Y-%m-%d"),
        "versions": {p: version(p) for p in ("torch", "transformers", "peft", "numpy")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "rows": [],
        "summary": [],
        "verdict": [],
    }


def _write(file: Path, result: dict, experiment: Experiment) -> None:
    result["summary"] = summarise(result["rows"])
    result["verdict"] = judge(result["rows"], experiment.claims)
    report = experiment.report or as_markdown
    files.write_text(file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    files.write_text(file.with_suffix(".md"), report(result))


def as_markdown(result: Mapping) -> str:
    """The result as a table, and the verdict on each claim."""
    headings = ["setting", "mean", "95 % interval over seeds", "seeds"]
    lines = report_head(result, headings, f", test n = {result['rows'][0]['n']}")
    for row in result["summary"]:
        interval = "–" if row["ci95"] is None else "{:.3f} … {:.3f}".format(*row["ci95"])
        lines.append(cells([row["setting"], f"{row['mean']:.3f}", interval, row["seeds"]]))
    for verdict in result["verdict"]:
        low, high = verdict["ci95"]
        lines += [
            "",
            f"- {verdict['claim']}: {verdict['difference']:+.3f} [{low:+.3f}, {high:+.3f}], "
            f"{verdict['seeds']} seeds: {verdict['verdict']}",
        ]
    return "\n".join(lines) + "\n"


def file_name(setting: str) -> str:
    """A setting's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", setting)


def short(backbone: str) -> str:
    """The last part of a Hub id or path."""
    return backbone.rstrip("/").split("/")[-1]
