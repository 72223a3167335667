"""What an experiment consists of: its lines, what it claims, and how a row comes about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.core.engines import Tell, silent
from labkit.core.tasks import Task
from labkit.core.tuning import OnStep
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.result_file import row_stem
from labkit.experiments.base.rows import learned
from labkit.experiments.base.verdicts import Claim

PROFILES = ("small", "full")
TASK = "rt-polarity"
TASK_OF = {"small": TASK, "full": "sst2"}
"""The task of each profile, for experiments that follow the paper's table 1."""


@dataclass(frozen=True)
class Setting:
    """One line of a table; experiments add what they vary.

    Attributes:
        name: what the line is called; task: instead of the experiment's own.
        paper: "table:row", where the paper prints this line.
        targets: other tasks that the row reads.
    """

    name: str
    backbone: str
    recipe: Recipe
    task: str | None = None
    paper: str | None = None
    targets: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def seeded(self) -> bool:
        """Whether a seed changes the row; where none does, one row stands for all seeds."""
        return True  # no field: nothing of it is in a row's digest


@dataclass(frozen=True)
class Place:
    """Where a row belongs: ``out`` holds all results, ``folder`` what belongs to this one.

    ``command`` makes the whole table again; ``limit`` is a number of test examples, None the
    experiment's own; ``tell`` takes (part done, parts in all, what is running) of the row;
    ``origin`` is a digest of the model and the data.
    """

    out: Path
    folder: Path
    command: str
    limit: int | None = None
    tell: Tell = silent
    origin: str = ""

    def of_row(self, setting: Setting, seed: int) -> Path:
        """Where a row keeps what belongs to it alone."""
        return self.folder / row_stem(setting.name, seed)

    def on_step(self, parts: int, what: str = "training") -> OnStep:
        """Tells of each training step, as one of that many parts of the row."""
        return lambda step, loss, _: self.tell(step, parts, f"{what} {step}, loss {loss:.4g}")


RunRow = Callable[[Setting, Task, int, Place], dict]
"""Runs one setting with one seed: what the row says beside its setting, seed and backbone."""

Needs = Callable[[Setting, Task, int | None], None]
"""Raises a LabError for a setting, a task and a limit of which no row can be made."""


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        settings: its lines, from (backbone or None, profile).
        claims: what it examines; run_row: how a row comes about.
        report: the result as Markdown, default `labkit.experiments.base.report.as_markdown`.
        work: arithmetic of a setting with one seed on a task, in FLOP, for an estimate.
        tasks: the task of each profile, where none is asked for.
        covers: what to call many tasks in the file's name, where each row is about all of them.
        rows: what kind its rows are: experiments of one kind share rows; default: the name of
            ``run_row``.
        relabel: a row of another table, made of the same, as a row of this setting.
        judge_row: a row with its own verdicts made anew from its numbers.
        inputs: files that a row reads beside model and data, from (setting, seed, place).
        counted: the rows that means over seeds are of; default: of prompts that learned.
        pool: what all rows say together, from (rows, folder of results).
        needs: what is asked of each setting, task and limit before the first row is made.
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
    rows: str | None = None
    relabel: Callable[[Mapping, Setting], dict] | None = None
    judge_row: Callable[[Mapping], dict] | None = None
    inputs: Callable[[Setting, int, Place], Sequence[Path]] | None = None
    counted: Callable[[Sequence[Mapping]], Sequence[Mapping]] = learned
    pool: Callable[[Sequence[Mapping], Path], list[dict]] | None = None
    needs: tuple[Needs, ...] = ()
