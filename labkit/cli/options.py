"""What the verbs share in reading their options; a wrong one is a `LabError` that names it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.core.errors import LabError

if TYPE_CHECKING:
    from labkit.core.backbones import Backbone
    from labkit.core.engines import Engine
    from labkit.core.prompted_model import PromptedModel
    from labkit.core.tasks import Task
    from labkit.soft_prompt import PromptCard, SoftPrompt

BackboneName = Annotated[
    str,
    typer.Option(
        "--backbone",
        help="smollm2, minilm, t5-titles, minilm-mlm, gemma-270m, a Hub id, or a folder",
    ),
]
TaskName = Annotated[
    str, typer.Option("--task", help="rt-polarity, sst2, ..., or a folder with train.jsonl")
]
TemplateLine = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="such as '{soft}{text} It was {mask}'; \\n is a new line. Default: the task's own",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(
        "--verbalizer",
        help="label words, as 'negative=terrible|awful,positive=great'. Default: the task's own",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        min=1,
        help="tokens that a batch holds, virtual tokens of every row counted; "
        "default: what suits the device",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log", help="file.jsonl that every step is added to, as one object a line"),
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1; default: the GPU if there is one")
]
LARGEST_SEED = 2**32 - 1
"""Of the random generators that are seeded, NumPy's older one takes no larger one."""
MOST_SEEDS = 10_000
"""At once: a range without end would be counted through before anything is said."""
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="of what is drawn")]
Length = Annotated[int, typer.Option("--length", min=1, help="virtual tokens")]


def held_to(batch_tokens: int | None) -> AbstractContextManager[None]:
    """Within the block a batch holds that many tokens; None: what suits the device."""
    from labkit.core import budget

    return budget.batch_tokens(batch_tokens)


def read_verbalizer(line: str | None) -> dict[str, tuple[str, ...]] | None:
    """``negative=terrible|awful,positive=great`` as class → words; None stays None."""
    if line is None:
        return None
    words: dict[str, tuple[str, ...]] = {}
    for part in line.split(","):
        label, equals, options = (piece.strip() for piece in part.partition("="))
        if not equals or not label or label in words:
            raise LabError(
                f"--verbalizer {line!r}: {part.strip()!r} is not one class with its words; write "
                "'negative=terrible|awful,positive=great'"
            )
        words[label] = tuple(word.strip() for word in options.split("|"))
    return words


def read_seeds(line: str) -> tuple[int, ...]:
    """``0,1,2`` or ``0..2`` as numbers."""
    seeds: list[int] = []
    for part in line.split(","):
        ends = re.fullmatch(r"\s*(\d+)(?:\.\.(\d+))?\s*", part)
        if ends is None:
            raise _no_seeds(line)
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first:
            raise _no_seeds(line)
        if last > LARGEST_SEED or last - first >= MOST_SEEDS:
            raise LabError(
                f"--seeds {line!r}: a seed is at most {LARGEST_SEED:,}, and a range holds at most "
                f"{MOST_SEEDS:,}; name smaller ones, or fewer"
            )
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise _no_seeds(line)
    return tuple(seeds)


def _no_seeds(line: str) -> LabError:
    return LabError(f"--seeds {line!r} are not distinct whole numbers; write them as 0,1,2 or 0..2")


def read_range(line: str | None) -> tuple[int, int] | None:
    """``0-50`` as first and last; None stays None."""
    if line is None:
        return None
    first, dash, last = line.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise LabError(f"--fixed {line!r} is no range; write first-last, such as 0-50")
    return int(first), int(last)


def read_profile(name: str | None) -> str | None:
    if name not in (None, "small", "full"):
        raise LabError(f"--profile {name!r} is not a profile; choose small or full")
    return name


def read_engine(
    name: str, address: str | None, workers: int | None, threads: int | None, gpus: float | None
) -> Engine:
    from labkit.core.engines import LocalEngine, RayEngine

    if name == "local":
        if address is not None:
            raise LabError("--address is for --engine ray")
        if gpus is not None:
            raise LabError("--gpus is for --engine ray")
        return LocalEngine(workers, threads)
    if name != "ray":
        raise LabError(f"--engine {name!r} is unknown; choose local or ray")
    if workers is not None:
        raise LabError(
            "--workers is for --engine local; a cluster runs as many rows as its cores allow, see "
            "--threads and --gpus"
        )
    return RayEngine(address, threads or 1, gpus)


def model_for(
    backbone: Backbone,
    task: Task,
    template: str | None,
    words: Mapping[str, tuple[str, ...]] | None,
    *,
    soft: bool,
    card: PromptCard | None = None,
) -> PromptedModel:
    """What is given goes before what was saved with the prompt, and that before the task's own."""
    from labkit.core.prompted_model import PromptedModel
    from labkit.core.templates import Template, Verbalizer

    line = None if template is None else Template(template.replace("\\n", "\n"))
    verbalizer = None if words is None else Verbalizer(words)
    if line is not None and verbalizer is not None and card is None:
        return PromptedModel(backbone, line, verbalizer)
    saved = card.model(backbone) if card else PromptedModel.for_task(backbone, task, soft=soft)
    changes: dict[str, object] = {} if verbalizer is None else {"verbalizer": verbalizer}
    if line is not None:
        changes |= {"template": line, "sentinel": None}  # whether it has one is the template's word
    return saved.with_changes(**changes)


def opened(
    folder: Path, backbone: str | None, task: str | None
) -> tuple[PromptedModel, SoftPrompt, Task]:
    """A saved prompt, the model that it stands in front of, and its task.

    Args:
        backbone, task: instead of those that it was made for.

    Raises:
        LabError: where neither the prompt nor the user names one, or it is not there.
    """
    from labkit.core.loading import load_backbone
    from labkit.soft_prompt import load_for, load_prompt

    card = load_prompt(folder)[1]
    if backbone is None and card is None:
        raise LabError(f"{folder} does not say its backbone; name it with --backbone")
    data = _task_of(folder, card, task)
    frozen = load_backbone(backbone) if backbone else card.load_backbone()
    prompt, card = load_for(frozen, folder)
    return model_for(frozen, data, None, None, soft=True, card=card), prompt, data


def _task_of(prompt: Path, card: PromptCard | None, given: str | None) -> Task:
    """The task that is given, or else the one in the command that made the prompt.

    Raises:
        LabError: where the command names none, or what has its name here holds other examples.
    """
    from labkit.core.tasks import load_task

    if given is not None:
        return load_task(given)
    try:
        words = shlex.split(card.command) if card else []
    except ValueError:  # a quotation mark without its partner, in a card that was written by hand
        words = []
    if "--task" not in words[:-1]:
        raise LabError(f"{prompt} does not say its task; name it with --task")
    name = words[words.index("--task") + 1]
    try:
        task = load_task(name)
    except LabError as error:
        raise LabError(
            f"{prompt} was trained on the task {name!r}, which can't be read ({error}); name one "
            "with --task"
        ) from error
    here = task.fingerprint(*task.splits)
    examples = (card.scores or {}).get("examples", here)  # earlier cards don't say
    if examples != here:
        raise LabError(
            f"{prompt} was trained on a task {name!r} with the examples {examples}; the {name!r} "
            f"that is found here has others ({here}): name the folder, or this one, with --task"
        )
    return task


FOLDERS = ("backbone", "task", "tasks", "target")
"""Options that may name a folder as well as something published."""


def command_line(
    verb: str, options: Mapping[str, object], flags: Mapping[str, bool] | None = None
) -> str:
    """The command that does the same again; of a folder only its name, so that nothing of this
    machine is in it. An option with a list is given once for each of its values."""
    words = ["labkit", *verb.split()]
    for name, given in options.items():
        for value in given if isinstance(given, list) else () if given is None else (given,):
            is_folder = name in FOLDERS and Path(str(value)).is_absolute()
            is_path = isinstance(value, Path) or is_folder
            words += [f"--{name.replace('_', '-')}", Path(value).name if is_path else str(value)]
    words += [f"--{name.replace('_', '-')}" for name, is_set in (flags or {}).items() if is_set]
    return shlex.join(words)
