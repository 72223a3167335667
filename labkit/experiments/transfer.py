"""Transfer between tasks: what a prompt trained on one task does on every other.

A row is a source task with one seed: its prompt is trained once and kept beside the
table, then scored on every target with the target's own template and label words. Two rows are
controls: the prompt as drawn (what every source was before training) and no virtual tokens at all.

No source trains on a text that equals, contains or is contained in a text that some target is
scored on. Pairs that still share a data set, or a task that the backbone itself was trained on, are
marked ``seen``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from labkit.core import assets
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task, load_task, without_overlap
from labkit.core.tuning import fit
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.kept import kept_prompt
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.recipe import RECIPES, Recipe
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.result_file import file_for, file_name, identity
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import TASK, Experiment, Place, Setting
from labkit.experiments.base.verdicts import signed
from labkit.prompt_transfer import TransferTable, is_seen, kind_difference, read_library
from labkit.soft_prompt import initialise

TASKS = {
    "encoder": (
        "rt-polarity", "rte", "cr", "amazon-valence", "tweets-valence", "subj",
        "mpqa", "mrpc", "sst2", "editorials-valence", "qnli", "mnli",
    ),
    "causal": ("rt-polarity", "mrpc", "amazon-valence", "rte", "tweets-valence", "subj", "cr"),
}  # fmt: skip
"""Sources and targets by readout, kinds alternating: a table that is stopped half way has both."""

DEFAULT_DATA = ("rt-polarity", "amazon-valence", "tweets-valence", "editorials-valence")
TRAINING_EXAMPLES, TEST_EXAMPLES = 2000, 500
STEPS = {"encoder": 125, "causal": 100}
"""Two epochs of 2,000 examples in batches of 32, or most of one in batches of 16."""

UNTRAINED, NO_PROMPT = "untrained prompt", "no prompt"


@dataclass(frozen=True)
class TransferSetting(Setting):
    """A source task, or a control: ``source`` is None; ``bare``: nothing in front of the text."""

    source: str | None = None
    bare: bool | None = None  # None, not False: rows of before say nothing of it


def transfer_row(setting: TransferSetting, _task: Task, seed: int, place: Place) -> dict:
    """The source's prompt, trained or taken where it is kept, scored on every target."""
    backbone = shared_backbone(setting.backbone)
    limit = place.limit or TEST_EXAMPLES
    targets = {name: load_task(name) for name in setting.targets}
    row = {
        "method": "prompt" if setting.source else setting.name,
        "source": setting.source,
        **asdict(setting.recipe),
        **backbone.where(),
    }
    prompt = None
    if not setting.bare:
        prompt, training = _prompt(setting, targets, seed, place)
        row |= training
    row["targets"] = scores_on(targets, backbone, prompt, limit, place)
    for name, scores in row["targets"].items():
        scores["seen"] = is_seen(setting.source, name, setting.backbone)
    values = [result["value"] for result in row["targets"].values()]
    return row | {"value": float(np.mean(values)), "n": sum_of(row["targets"], "n")}


def scores_on(
    targets: Mapping[str, Task],
    backbone: Backbone,
    prompt: nn.Module | None,
    limit: int,
    place: Place,
) -> dict[str, dict]:
    """What a prompt, or the weights, reach on other tasks, each with its own template and words."""
    scores = {}
    for index, (name, task) in enumerate(targets.items()):
        place.tell(index, len(targets), f"scoring on {name}")
        model = PromptedModel.for_task(backbone, task, soft=prompt is not None)
        scores[name] = scores_of(evaluate(model, prompt, task, "test", limit=limit))
    return scores


def sum_of(results: Mapping[str, Mapping], key: str) -> int:
    return sum(result[key] for result in results.values())


def _prompt(
    setting: TransferSetting, targets: Mapping[str, Task], seed: int, place: Place
) -> tuple[object, dict]:
    backbone, recipe = shared_backbone(setting.backbone), setting.recipe
    task = targets[setting.source or next(iter(targets))]
    model = PromptedModel.for_task(backbone, task)
    prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, seed)
    if setting.source is None:
        return prompt, {}
    folder = place.folder / f"{file_name(setting.source)}-seed{seed}"
    digest = digest_of([asdict(recipe), seed, place.limit, list(targets), place.origin])

    def train(_checkpoint: Path) -> dict:
        return fit_apart(model, prompt, task, targets.values(), recipe, seed, place)

    return kept_prompt(folder, place, model, prompt, train, seed=seed, digest=digest)


def fit_apart(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    targets: Iterable[Task],
    recipe: Recipe,
    seed: int,
    place: Place,
) -> dict:
    """Train on a sample of ``task`` that shares no text with what ``targets`` are scored on.

    Returns:
        What a row says of the training.
    """
    limit = place.limit or TEST_EXAMPLES
    task = model.view_of(task)
    scored = [target.for_readout(model.backbone.readout) for target in targets]
    examples, dropped = training_examples(task, scored, limit, seed)
    history = fit(
        model,
        prompt,
        task.with_splits(train=examples),
        recipe,
        seed=seed,
        on_step=place.on_step(2 * recipe.steps, "step"),
    )
    return {
        "train_n": len(examples),
        "overlapping": dropped,
        "loss": float(np.mean(history.losses[-20:])),
        "seconds": round(history.seconds, 1),
    }


def training_examples(
    task: Task, targets: Iterable[Task], limit: int, seed: int
) -> tuple[tuple, int]:
    """A sample of at most 2,000 training examples that no scored text overlaps with.

    Returns:
        The examples, and how many were passed over on the way.
    """
    scored = [example for target in targets for example in target.take("test", limit)]
    drawn = task.take("train", 3 * TRAINING_EXAMPLES, seed=seed)
    # by object: files that were joined may use an id twice
    kept = {id(example) for example in without_overlap(drawn, scored)}
    examples = tuple(e for e in drawn if id(e) in kept)[:TRAINING_EXAMPLES]
    last = drawn.index(examples[-1]) + 1
    return examples, last - len(examples)


def table(result: Mapping) -> TransferTable:
    """The rows of a result as arrays (seeds, sources, targets).

    Only seeds that have every source; where none is whole yet, the sources that the first one has.
    """
    rows = result["rows"]
    targets = list(rows[0]["targets"])
    by_seed = {
        seed: {r["setting"]: r["targets"] for r in rows if r["seed"] == seed}
        for seed in dict.fromkeys(r["seed"] for r in rows)
    }
    most = max(by_seed.values(), key=len)
    whole = [seed for seed, of_seed in by_seed.items() if set(of_seed) == set(most)]
    sources = [name for name in targets if name in most]

    def values(names: Sequence[str]) -> np.ndarray:
        return np.array(
            [[[by_seed[s][n][t]["value"] for t in targets] for n in names] for s in whole]
        )

    controls = {n: values([n])[:, 0] for n in (UNTRAINED, NO_PROMPT) if n in most}
    first = rows[0]["targets"]
    seen = np.array([[most[s][t]["seen"] for t in targets] for s in sources], dtype=bool)
    majority = np.array([first[t]["majority"] for t in targets])
    of_sources = values(sources).reshape(len(whole), len(sources), len(targets))
    return TransferTable(
        tuple(sources), tuple(targets), of_sources, controls, seen, majority, tuple(whole)
    )


def as_markdown(result: Mapping) -> str:
    """Sources × targets, means over seeds; seen pairs in brackets."""
    transfer = table(result)
    seeds = ", ".join(map(str, transfer.seeds))
    about = f", at most {TEST_EXAMPLES} test examples a task, seeds {seeds}"
    lines = report_head(result, ["source", *transfer.targets], about)
    for row, source in enumerate(transfer.sources):
        values, seen = transfer.values[:, row].mean(0), transfer.seen[row]
        cells_of_source = [
            f"({v:.3f})" if s else f"{v:.3f}" for v, s in zip(values, seen, strict=True)
        ]
        lines.append(cells([source, *cells_of_source]))
    for name, values in transfer.controls.items():
        lines.append(cells([f"*{name}*", *(f"{v:.3f}" for v in values.mean(0))]))
    lines.append(cells(["*majority class*", *(f"{v:.3f}" for v in transfer.majority)]))
    lines += ["", "In brackets: seen pairs, which share a data set or the backbone's own training."]
    if len(transfer.sources) == len(transfer.targets) and transfer.of_both_kinds.sum() > 1:
        difference = kind_difference(transfer)
        lines += [
            "",
            f"Same kind minus other kind, seen pairs left out: {signed(difference[:3])} in "
            f"accuracy over {difference.targets} targets "
            "(the interval is for other targets of these sources).",
        ]
    return "\n".join(lines) + "\n"


def here(name: str) -> bool:
    """Whether a task's data are on this machine."""
    folder = assets.data_dir()
    return name in DEFAULT_DATA or (folder is not None and (folder / name).is_dir())


def short_recipe(readout: str) -> Recipe:
    """The readout's recipe with the steps of :data:`STEPS`."""
    return replace(RECIPES[readout], steps=STEPS.get(readout, RECIPES[readout].steps))


def _settings(backbone: str | None, profile: str) -> list[TransferSetting]:
    name = backbone or "minilm"
    readout = readout_of(name)
    tasks = TASKS["causal" if readout == "causal" else "encoder"]
    if profile == "small":
        tasks = tuple(task for task in tasks if here(task))
    recipe = short_recipe(readout)
    make = [TransferSetting(task, name, recipe, source=task, targets=tasks) for task in tasks]
    untrained = TransferSetting(UNTRAINED, name, recipe, targets=tasks)
    return [untrained, replace(untrained, name=NO_PROMPT, bare=True), *make]


def kept_prompts(backbone: str, seed: int, place: Place) -> dict[str, torch.Tensor]:
    """The prompts that ``labkit run transfer`` kept in the same results folder: task → (P, D).

    Raises:
        LabError: if there are none of this seed.
    """
    try:
        return read_library(library_folder(backbone, place.out), seed)
    except LabError as error:
        raise LabError(
            f"{error}: `labkit run transfer --backbone {short(backbone)} --seeds {seed}` into the "
            "same --out (a table that is there without its prompts is moved away first)"
        ) from error


def library_folder(backbone: str, out: Path) -> Path:
    """Where ``labkit run transfer`` into ``out`` keeps this model's prompts."""
    about = [identity(backbone), identity(TASK)]
    return file_for(out, f"transfer-{short(backbone)}-tasks", about).with_suffix("")


def library_files(backbone: str, seed: int, place: Place) -> list[Path]:
    """The weights of :func:`kept_prompts`, which rows that read them are made of."""
    return sorted(library_folder(backbone, place.out).glob(f"*-seed{seed}/*.safetensors"))


EXPERIMENTS = (
    Experiment(
        "transfer",
        "every source's prompt on every target (TPT, figure 2), ours",
        _settings,
        transfer_row,
        report=as_markdown,
        covers="tasks",
    ),
)
