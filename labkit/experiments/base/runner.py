"""A table is a grid of independent rows (setting × seed), run one by one.

A resumed table keeps the rows whose digest says that they were made of what is asked for now, and
makes the others again, as it does those whose matrix is gone or has become another row's. A row
that another table in the same folder has is taken from there.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from labkit.core.bundled import bundled
from labkit.core.engines import Engine, Job, Tell, silent
from labkit.core.errors import LabError
from labkit.core.loading import fast_dtype
from labkit.core.scoring import matrix_rate
from labkit.core.tasks import load_task
from labkit.experiments.base import result_file
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.models import short
from labkit.experiments.base.origin import (
    Ingredients,
    Origin,
    may_be_brought_over,
    origin_of,
)
from labkit.experiments.base.report import as_markdown
from labkit.experiments.base.rows import own_matrix
from labkit.experiments.base.setting import Experiment, Place, RunRow, Setting
from labkit.experiments.base.verdicts import judge, summarise

PROMPTS, REFERENCE = bundled("prompts"), bundled("reference")
"""Trained prompts and results of longer runs that come with the course."""

REACHED = 0.4
"""Share of the measured matrix-product rate that training and probing reach, for estimates."""

Note = Callable[[str], None]
"""Called with a line that the user should read."""


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
    on_progress: Tell | None,
    engine: Engine,
    only: Sequence[str] = (),
    note: Note = lambda line: None,
) -> dict:
    """Run an experiment's rows, see :func:`labkit.experiments.run`."""
    table = _Table.of(experiment, profile, backbone, task, Path(out), limit)
    asked = chosen(table.settings, only)
    _refuse_unsuited(experiment, asked, table.given, limit)
    wanted = [(setting, seed) for seed in seeds for setting in table.settings]
    digests = [table.origin(setting, seed).digest for setting, seed in wanted]
    _refuse_twins(experiment.name, wanted, digests)
    file = result_file.file_for(table.place.out, table.stem, table.about, digests)
    table = table.at(file)
    with result_file.only_writer(file, table.place.command, wait=resume, tell=note):
        result = result_file.start(
            file, resume, name=experiment.name, task=", ".join(table.tasks), about=table.about
        )
        return _Run(table, result, asked, note).through(seeds, engine, on_progress or silent)


def _refuse_unsuited(
    experiment: Experiment, settings: Sequence[Setting], given: str, limit: int | None
) -> None:
    """Before anything is trained.

    Raises:
        LabError: for a model or data of which a row can't be made.
    """
    if not experiment.needs:
        return
    tasks = {name: load_task(name) for name in {setting.task or given for setting in settings}}
    for setting in settings:
        for need in experiment.needs:
            need(setting, tasks[setting.task or given], limit)


def _refuse_twins(
    experiment: str, wanted: Sequence[tuple[Setting, int]], digests: Sequence[str]
) -> None:
    """A resumed table knows a row by its digest, what rows say together goes by their names, and
    the files of a row by its stem: two that share one would be taken for each other, or for two
    seeds of one, or write over each other's matrix.

    Raises:
        LabError: for settings of one name or stem, or that differ in their name alone.
    """
    named: dict[str, Setting] = {}
    stems: dict[str, Setting] = {}
    names: dict[str, str] = {}
    for (setting, _), digest in zip(wanted, digests, strict=True):
        first = named.setdefault(setting.name, setting)
        if first is not setting:
            raise _namesakes(experiment, first, setting)
        stem = result_file.file_name(setting.name)
        other = stems.setdefault(stem.casefold(), setting)  # one file where a disk ignores case
        if other is not setting:
            raise LabError(
                f"{other.name!r} and {setting.name!r} of {experiment!r} would both keep their "
                f"files as {stem!r}; rename the folder of {other.backbone} or {setting.backbone}"
            )
        twin = names.setdefault(digest, setting.name)
        if twin != setting.name:
            raise LabError(
                f"{twin!r} and {setting.name!r} of {experiment!r} differ in their name alone; give "
                "their settings a field that says what the row does otherwise"
            )


def _namesakes(experiment: str, first: Setting, second: Setting) -> LabError:
    models, remedy = f"{first.backbone} and {second.backbone}", "rename one of the folders"
    if first.backbone == second.backbone:
        models, remedy = first.backbone, "name each model once"
    return LabError(
        f"{models}: two rows of {experiment!r} would both be called {second.name!r}; {remedy}"
    )


def chosen(settings: Sequence[Setting], patterns: Sequence[str]) -> list[Setting]:
    """Those settings whose name is, or fits, one of the patterns; all where there is no pattern."""
    if not patterns:
        return list(settings)
    fitting = [s for s in settings if any(fnmatch.fnmatchcase(s.name, p) for p in patterns)]
    if not fitting:
        names = ", ".join(repr(setting.name) for setting in settings)
        raise LabError(f"no row is called {', '.join(patterns)}; there are {names}")
    return fitting


@dataclass(frozen=True)
class _Table:
    """An experiment's lines as they were asked for, and where they belong.

    ``given`` is the task of settings that name none; ``about`` tells models and tasks apart that
    have the same last name.
    """

    experiment: Experiment
    profile: str
    settings: tuple[Setting, ...]
    given: str
    tasks: tuple[str, ...]
    stem: str
    about: list[str]
    place: Place
    ingredients: Ingredients

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        profile: str,
        backbone: str | None,
        task: str | None,
        out: Path,
        limit: int | None,
    ) -> _Table:
        given = task or experiment.tasks[profile]
        chosen = load_task(given)
        settings = tuple(for_task(experiment.settings(backbone, profile), task))
        models = list(dict.fromkeys(setting.backbone for setting in settings))
        tasks = tuple(dict.fromkeys(setting.task or chosen.name for setting in settings))
        named = [short(name) if Path(name).is_dir() else name for name in models]
        asked = f"--profile {profile} --backbone {shlex.quote(','.join(named))}"
        command = f"labkit run {experiment.name} {asked}"
        if limit is not None:
            command += f" --limit {limit}"
        if experiment.covers is not None:
            tasks = (experiment.covers,)
        elif len(tasks) == 1:
            command += f" --task {shlex.quote(chosen.name)}"
        stem = "-".join([experiment.name, "+".join(map(short, models)), "+".join(tasks)])
        about = [result_file.identity(name) for name in (*models, given)]
        place = Place(out, out / stem, command, limit)
        made_of = Ingredients(load_task)
        return cls(experiment, profile, settings, given, tasks, stem, about, place, made_of)

    def at(self, file: Path) -> _Table:
        return replace(self, place=replace(self.place, folder=file.with_suffix("")))

    @property
    def file(self) -> Path:
        return self.place.folder.with_name(f"{self.place.folder.name}.json")

    def origin(self, setting: Setting, seed: int) -> Origin:
        return origin_of(
            self.experiment,
            setting,
            seed,
            self.place,
            self.profile,
            self.given,
            self.ingredients,
        )

    def place_of(self, setting: Setting) -> Place:
        """The place of a setting's rows, with the digest of its model and data."""
        model = self.ingredients.model(setting.backbone)
        data = self.ingredients.data(setting, self.given)
        return replace(self.place, origin=digest_of([*model, data]))


class _Run:
    """One writing of a table's file."""

    def __init__(self, table: _Table, result: dict, chosen: list[Setting], note: Note) -> None:
        self.table, self.result, self.chosen, self.note = table, result, chosen, note
        self.report = table.experiment.report or as_markdown
        self._bring_over()
        self._set_aside()

    def through(self, seeds: Sequence[int], engine: Engine, tell: Tell) -> dict:
        """Seed by seed: a stopped run has every setting before it has a second seed."""
        table, result, chosen = self.table, self.result, self.chosen
        stale = {(row["setting"], row["seed"]) for row in result.get("stale", ())}
        others = sorted({seed for _, seed in stale}.difference(seeds))
        self._name_command((*seeds, *others))
        every = [(s.name, seed) for seed in (*seeds, *others) for s in table.settings]
        rank = {pair: index for index, pair in enumerate(every)}  # rows of other seeds come first
        total = len(chosen) * len((*seeds, *others))
        result["rows"].sort(key=lambda row: rank.get((row["setting"], row["seed"]), -1))
        if result["rows"]:  # the new command and report, even where nothing is left to run
            self._write()
        for index, seed in enumerate((*seeds, *others)):
            lines = [s for s in chosen if index < len(seeds) or (s.name, seed) in stale]
            missing = [s for s in lines if not self._is_settled(s, seed)]
            missing = self._take(missing, seed, rank)
            jobs = [
                Job(
                    f"{setting.name}, seed {seed}",
                    _row,
                    (
                        table.experiment.run_row,
                        setting,
                        setting.task or table.given,
                        seed,
                        table.place_of(setting),
                    ),
                    errors=table.file.with_suffix(".errors.txt"),
                )
                for setting in missing
            ]
            settled = (index + 1) * len(chosen) - len(missing)
            for done, row in engine.results(jobs, _offset(tell, settled, total)):
                self._add(row | table.origin(missing[done], seed).note(), rank)
        tell(total, total, "done")
        return result

    def _is_settled(self, setting: Setting, seed: int) -> bool:
        """Whether the row is there, or one of another seed where seeds change nothing."""
        seeds = {row["seed"] for row in self.result["rows"] if row["setting"] == setting.name}
        return seed in seeds or (bool(seeds) and not setting.seeded)

    def _take(self, settings: Sequence[Setting], seed: int, rank: Mapping) -> list[Setting]:
        """Take the rows that other tables in the folder have; what is still missing."""
        out = self.table.place.out
        digests = [self.table.origin(setting, seed).digest for setting in settings]
        rows = {
            row["digest"]: row
            for other in (result_file.result_files(out) if digests else ())
            for row in other["rows"]
            if row.get("digest") in digests and _has_its_matrix(row, out)
        }
        relabel = self.table.experiment.relabel or _relabel
        for setting, digest in zip(settings, digests, strict=True):
            if digest in rows:
                self._add(relabel(rows[digest], setting), rank)
        return [s for s, digest in zip(settings, digests, strict=True) if digest not in rows]

    def _add(self, row: dict, rank: Mapping) -> None:
        pair = row["setting"], row["seed"]
        if "stale" in self.result:
            stale = self.result["stale"]
            stale[:] = [old for old in stale if (old["setting"], old["seed"]) != pair]
            if not stale:
                del self.result["stale"]
        self.result["rows"].append(row)
        self.result["rows"].sort(key=lambda row: rank.get((row["setting"], row["seed"]), -1))
        self._write()

    def _write(self) -> None:
        conclude(self.table.experiment, self.result, self.table.place.out)
        result_file.write(self.table.file, self.result, self.report)

    def _name_command(self, seeds: Sequence[int]) -> None:
        all_seeds = sorted({*seeds, *(row["seed"] for row in self.result["rows"])})
        command = f"{self.table.place.command} --seeds {','.join(map(str, all_seeds))}"
        self.table = replace(self.table, place=replace(self.table.place, command=command))
        lines = [setting.name for setting in self.table.settings]
        self.result |= {"command": command, "file": self.table.file.stem, "settings": lines}

    def _bring_over(self) -> None:
        """Rows from before there were digests get theirs, where they say what is asked for."""
        settings = {setting.name: setting for setting in self.table.settings}
        brought = 0
        for row in self.result["rows"]:
            setting = settings.get(row["setting"])
            if setting is None or "digest" in row:
                continue
            origin = self.table.origin(setting, row["seed"])
            if may_be_brought_over(row, setting, self.result.get("command", ""), origin):
                row |= origin.note()
                row["made"] |= {"version": "before digests"}
                brought += 1
        if brought:
            self.note(f"{brought} rows of an older version of the file are kept")

    def _set_aside(self) -> None:
        """Rows that were made of something else wait in ``stale`` until they are made again; of
        those that wait already, the ones that fit now are taken back."""
        waiting = self.result.pop("stale", [])
        reasons = [(row, self._against(row)) for row in self.result["rows"]]
        kept = [row for row, why in reasons if why is None]
        back = [row for row in waiting if self._against(row) is None]
        fitting = {(row["setting"], row["seed"]): row for row in [*back, *kept]}
        for row, why in reasons:
            if why is not None and (row["setting"], row["seed"]) not in fitting:
                self.note(f"{row['setting']}, seed {row['seed']}: made again ({why})")
        for row in back:
            self.note(f"{row['setting']}, seed {row['seed']}: taken back, it fits again")
        stale = [
            row
            for row in [*waiting, *self.result["rows"]]
            if (row["setting"], row["seed"]) not in fitting
        ]
        self.result["rows"] = list(fitting.values())
        if stale:
            self.result["stale"] = stale

    def _against(self, row: Mapping) -> str | None:
        """Why a row does not fit what is asked for; None where it does."""
        settings = {setting.name: setting for setting in self.table.settings}
        setting = settings.get(row["setting"])
        if setting is None:
            return "there is no such row now"
        origin = self.table.origin(setting, row["seed"])
        if row.get("digest") != origin.digest:
            return origin.against(row)
        whole = _has_its_matrix(row, self.table.place.out)
        return None if whole else "its matrix is gone, or another row's"


def _has_its_matrix(row: Mapping, out: Path) -> bool:
    """Whether a row's matrix is still its own, if it names one: another table, or a run that was
    stopped, may have written another in its place."""
    return "matrix" not in row or own_matrix(row, out / row["matrix"]) is not None


def conclude(experiment: Experiment, result: dict, out: Path) -> None:
    """Put into a result what follows from its rows.

    Args:
        out: the folder of results that the rows' own files are relative to.
    """
    if experiment.judge_row is not None:
        result["rows"] = [experiment.judge_row(row) for row in result["rows"]]
    result["summary"] = summarise(experiment.counted(result["rows"]))
    # older files don't name their settings
    result["verdict"] = judge(result["rows"], experiment.claims, result.get("settings", ()))
    if experiment.pool is not None:
        result["pooled"] = experiment.pool(result["rows"], out)


def _relabel(row: Mapping, setting: Setting) -> dict:
    return {**row, "setting": setting.name}


def _row(run_row: RunRow, setting: Setting, task: str, seed: int, place: Place, tell: Tell) -> dict:
    """One row, in whatever process it runs, under the names that every row has."""
    row = run_row(setting, load_task(task), seed, replace(place, tell=tell))
    return {"setting": setting.name, "seed": seed, "backbone": setting.backbone, **row}


def _offset(tell: Tell, before: int, total: int) -> Tell:
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
        for setting in for_task(experiment.settings(backbone, profile), task)
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    weight = torch.randn(3072, 768, device=device, dtype=fast_dtype(device))
    rate = REACHED * matrix_rate(weight)
    hours = len(seeds) * work / rate / 3600
    return (
        f"about {len(seeds) * work / 1e15:,.1f} PFLOP, that is {hours:,.1f} hours on {device} "
        f"at {rate / 1e12:,.2f} TFLOP/s; rows are kept as they come, --resume goes on"
    )


def for_task(settings: Sequence[Setting], task: str | None) -> list[Setting]:
    """The settings; of those that compare tasks, the ones with the task that is asked for.

    A task that they don't have takes the place of their first one.
    """
    if task is None:
        return list(settings)
    matching = [setting for setting in settings if setting.task in (None, task)]
    if matching:
        return matching
    first = settings[0].task
    return [
        replace(setting, name=_about(task, setting), task=task, paper=None)
        for setting in settings
        if setting.task == first
    ]


def _about(task: str, setting: Setting) -> str:
    """A setting's name with another task in the place of its own, which may be part of a word.

    Such a name is "<task>" or "<model>: <task>", and what is done with it after a comma.
    """
    its_own = rf"(^|: ){re.escape(setting.task or '')}(?=,|$)"
    return re.sub(its_own, lambda place: place[1] + short(task), setting.name, count=1)
