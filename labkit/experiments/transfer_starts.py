"""Transfer as a start: a target's prompt from several starts (SPoT, Vu et al. 2022, table 2).

A row is a target and a start with one seed. The sources are the prompts that ``transfer`` kept in
the same results folder, without the target's own and those whose pair with it is ``seen``. Where a
start has several candidates, each is trained and the best on validation is kept. A training that is
done once is kept beside the table, so that starts which share a source share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import Tensor

from labkit.core.errors import LabError
from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task, load_task
from labkit.core.tuning import fit
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.kept import kept_result
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.result_file import file_name
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.experiments.transfer import (
    TEST_EXAMPLES,
    TRAINING_EXAMPLES,
    here,
    kept_prompts,
    library_files,
    short_recipe,
    training_examples,
)
from labkit.prompt_transfer import (
    OverTargets,
    fit_mixture,
    is_seen,
    likeness,
    over_targets,
    steps_to_reach,
    weighted_start,
)
from labkit.soft_prompt import SoftPrompt, initialise

START_TARGETS = {
    "encoder": ("tweets-valence", "cr", "mpqa", "subj", "amazon-valence", "rt-polarity"),
    "causal": ("cr", "tweets-valence"),
}
"""Tasks whose own prompt learns: where it does not, no start can be sooner at anything."""

PLAIN, LONGER, BEST, ORACLE = "vocabulary", "vocabulary, longer", "best of 3", "oracle"
STARTS = (
    PLAIN, "most alike", LONGER, "random source", "average of 3", "best zero-shot", "mixture of 3",
    BEST, ORACLE,
)  # fmt: skip
"""How a target's prompt begins. *Longer* trains twice the steps: what source and target had
together. *Best zero-shot* tries every source on the target's validation sentences: the price of
not guessing. *Best of 3* trains from each of the three most alike, the *oracle* from every source:
what the best choice could bring, for as many trainings."""

ONE_TRAINING = tuple(start for start in STARTS if start not in (PLAIN, LONGER, BEST, ORACLE))
"""Starts that can be sooner than the plain one: from sources, with one training on the target."""

EMBEDDING_STEPS, EVALUATE_EVERY, VALIDATION = 25, 25, 200


@dataclass(frozen=True)
class StartSetting(Setting):
    """A target and how its prompt begins."""

    start: str = PLAIN


def start_row(setting: StartSetting, task: Task, seed: int, place: Place) -> dict:
    """The target's prompt, trained from one start; its scores on validation as it learns."""
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    candidates = _candidates(setting, model, task, seed, place)
    done = [
        _trained(setting, model, task, sources, start, seed, place) for sources, start in candidates
    ]
    best = max(done, key=lambda training: training["validation"])
    return {
        "task": task.name,
        "method": "prompt",
        "start": setting.start,
        **asdict(setting.recipe),
        **best,
        "trainings": len(done),
    }


def _trained(
    setting: StartSetting,
    model: PromptedModel,
    task: Task,
    sources: list[str],
    start: SoftPrompt,
    seed: int,
    place: Place,
) -> dict:
    """One training from a start and what came of it; taken from its file where it was done."""
    limit = place.limit or TEST_EXAMPLES
    vectors = start().detach().cpu().numpy().tobytes()
    digest = digest_of(
        [asdict(setting.recipe), limit, place.origin, hashlib.sha256(vectors).hexdigest()]
    )
    name = file_name(f"{task.name}-seed{seed}-from-{'+'.join(sources) or PLAIN}")
    return kept_result(
        place.folder / f"{name}-{digest}.json",
        place,
        lambda: _training(setting, model, task, sources, start, seed, limit, place),
    )


def _training(
    setting: StartSetting,
    model: PromptedModel,
    task: Task,
    sources: list[str],
    start: SoftPrompt,
    seed: int,
    limit: int,
    place: Place,
) -> dict:
    recipe = setting.recipe
    about = f"from {' + '.join(sources) or 'the vocabulary'}"
    before = evaluate(model, start, task, "validation", limit=VALIDATION)
    history = fit(
        model,
        start,
        task,
        recipe,
        seed=seed,
        limit=TRAINING_EXAMPLES,
        validation_limit=VALIDATION,
        on_step=place.on_step(recipe.steps, f"{about}, step"),
    )
    return {
        "sources": sources,
        "curve": [[0, before.value], *map(list, history.validation)],
        "validation": dict(history.validation)[history.best_step],
        "validation_n": before.n,
        "best_step": history.best_step,
        "seconds": round(history.seconds, 1),
        **model.backbone.where(),
        **scores_of(evaluate(model, start, task, "test", limit=limit)),
    }


def _candidates(
    setting: StartSetting, model: PromptedModel, task: Task, seed: int, place: Place
) -> list[tuple[list[str], SoftPrompt]]:
    """What the start can be: the sources that each candidate comes from, and the candidate."""
    start = setting.start
    if start in (PLAIN, LONGER):
        return [([], _fresh(setting, model, seed))]
    library = _library(setting.backbone, task.name, seed, place)
    if start == ORACLE:
        names = list(library)
    elif start == "random source":
        names = [list(library)[np.random.default_rng(seed).integers(len(library))]]
    elif start == "best zero-shot":
        value = {
            name: evaluate(model, SoftPrompt(p), task, "validation", limit=VALIDATION).value
            for name, p in library.items()
        }
        names = [max(value, key=value.get)]
    else:
        alike = _alike(setting, model, task, library, seed)
        names = list(alike)[: 1 if start == "most alike" else 3]
        if start == "average of 3":
            nearest = {name: alike[name] for name in names}
            return [(names, SoftPrompt(weighted_start(library, nearest)))]
        if start == "mixture of 3":
            return [(names, _mixture(setting, model, task, names, seed, place))]
    return [([name], SoftPrompt(library[name])) for name in names]


def _fresh(setting: StartSetting, model: PromptedModel, seed: int) -> SoftPrompt:
    recipe = setting.recipe
    return initialise(recipe.init, model.backbone, recipe.length, model.verbalizer, seed)


def _alike(
    setting: StartSetting,
    model: PromptedModel,
    task: Task,
    library: Mapping[str, Tensor],
    seed: int,
) -> dict[str, float]:
    """Likeness of the sources to the target's own prompt after a few steps, the highest first."""
    target_prompt = _fresh(setting, model, seed)
    brief = {"steps": EMBEDDING_STEPS, "evaluate_every": None}
    fit(model, target_prompt, task, setting.recipe, **brief, seed=seed, limit=TRAINING_EXAMPLES)
    return likeness(target_prompt.weight.detach(), library)


def _mixture(
    setting: StartSetting,
    model: PromptedModel,
    task: Task,
    names: Sequence[str],
    seed: int,
    place: Place,
) -> SoftPrompt:
    """One prompt trained on the named tasks in turn."""
    recipe, mixed = setting.recipe, _fresh(setting, model, seed)
    readout = model.backbone.readout
    target = task.for_readout(readout)
    sources = [load_task(name).for_readout(readout) for name in names]
    limit = place.limit or TEST_EXAMPLES
    tasks = [_with_training_sample(source, target, limit, seed) for source in sources]
    batches = {"steps": recipe.steps, "batch_size": recipe.batch_size, "lr": recipe.lr}
    fit_mixture(model.backbone, mixed, tasks, **batches, seed=seed)
    return mixed


def _with_training_sample(source: Task, target: Task, limit: int, seed: int) -> Task:
    examples, _ = training_examples(source, [target], limit, seed)
    return source.with_splits(train=examples)


def _library(backbone: str, target: str, seed: int, place: Place) -> dict[str, Tensor]:
    """The sources' prompts, without the target's own and those whose pair with it is seen."""
    library = {
        name: prompt
        for name, prompt in kept_prompts(backbone, seed, place).items()
        if name != target and not is_seen(name, target, backbone)
    }
    if not library:
        raise LabError(
            f"no source prompt of seed {seed} in {place.out} is another task's than {target} and "
            f"unseen; make more with `labkit run transfer --backbone {short(backbone)} --resume`"
        )
    return library


# ---- what came of them ----


def reached(result: Mapping) -> list[dict]:
    """For each target, seed and start of one training: steps to the plain prompt's final score.

    The scores are those on validation. ``steps`` is None where it is never reached; ``outcome``,
    one of :data:`OUTCOMES`, is against when the plain prompt itself first was that good.
    ``convergence``, after TPT's, is steps to its own best score as a share of the plain prompt's.
    """
    rows = result["rows"]
    plain_rows = {(r["task"], r["seed"]): r for r in rows if r["start"] == PLAIN}
    runs = []
    for row in rows:
        plain = plain_rows.get((row["task"], row["seed"]))
        if row["start"] not in ONE_TRAINING or plain is None:
            continue
        final = plain["curve"][-1][1]
        steps = steps_to_reach(row["curve"], final)
        runs.append(
            {
                "task": row["task"],
                "seed": row["seed"],
                "start": row["start"],
                "steps": steps,
                "outcome": _outcome(steps, steps_to_reach(plain["curve"], final)),
                "convergence": row["best_step"] / plain["best_step"],
            }
        )
    return runs


OUTCOMES = ("sooner", "as soon", "later", "never")


def _outcome(steps: int | None, plain_steps: int) -> str:
    if steps is None:
        return "never"
    if steps == plain_steps:
        return "as soon"
    return "sooner" if steps < plain_steps else "later"


def count_outcomes(runs: Sequence[Mapping]) -> dict[str, dict[str, int]]:
    """Start → outcome → in how many of the runs that :func:`reached` tells of."""
    counts = {run["start"]: dict.fromkeys(OUTCOMES, 0) for run in runs}
    for run in runs:
        counts[run["start"]][run["outcome"]] += 1
    return counts


def gains_over_plain(result: Mapping) -> dict[str, OverTargets]:
    """Start → its test score minus the plain prompt's, seeds averaged, then over the targets.

    Raises:
        LabError: for fewer than two targets.
    """
    rows = result["rows"]
    plain = {(r["task"], r["seed"]): r["value"] for r in rows if r["start"] == PLAIN}
    gains: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        pair = row["task"], row["seed"]
        if row["start"] != PLAIN and pair in plain:
            by_task = gains.setdefault(row["start"], {})
            by_task.setdefault(row["task"], []).append(row["value"] - plain[pair])
    return {
        start: over_targets([np.mean(gains_of_seeds) for gains_of_seeds in by_task.values()])
        for start, by_task in gains.items()
    }


def compared_seeds(result: Mapping, start: str) -> set[int]:
    """Seeds that have both this start and the plain one, on some target."""
    rows = result["rows"]
    plain = {(row["task"], row["seed"]) for row in rows if row["start"] == PLAIN}
    pairs = {(row["task"], row["seed"]) for row in rows if row["start"] == start}
    return {seed for _, seed in plain & pairs}


def starts_as_markdown(result: Mapping) -> str:
    """Targets × starts: test scores, and steps to the plain prompt's final validation score."""
    rows = result["rows"]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    lines = report_head(result, ["start", *tasks])
    steps = reached(result)
    for start in dict.fromkeys(row["start"] for row in rows):
        line = []
        for task in tasks:
            values = [r["value"] for r in rows if (r["start"], r["task"]) == (start, task)]
            to_reach = [s["steps"] for s in steps if (s["start"], s["task"]) == (start, task)]
            score = f"{np.mean(values):.3f}" if values else "–"
            by_seed = ", ".join("never" if n is None else str(n) for n in to_reach)
            line.append(score + (f" ({by_seed})" if to_reach else ""))
        lines.append(cells([start, *line]))
    lines += ["", "In brackets, for each seed: steps to the plain prompt's last validation score."]
    return "\n".join(lines) + "\n"


def _settings(backbone: str | None, profile: str) -> list[StartSetting]:
    name = backbone or "minilm"
    readout = readout_of(name)
    recipe = replace(short_recipe(readout), evaluate_every=EVALUATE_EVERY)
    targets = START_TARGETS["causal" if readout == "causal" else "encoder"]
    return [
        StartSetting(
            f"{target}, {start}",
            name,
            replace(recipe, steps=2 * recipe.steps) if start == LONGER else recipe,
            task=target,
            start=start,
        )
        for start in STARTS
        for target in targets
        if profile == "full" or here(target)
    ]


EXPERIMENTS = (
    Experiment(
        "transfer-starts",
        "a target's prompt from several starts (SPoT, table 2), ours",
        _settings,
        start_row,
        report=starts_as_markdown,
        covers="tasks",
        inputs=lambda setting, seed, place: library_files(setting.backbone, seed, place),
    ),
)
