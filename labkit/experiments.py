"""Named experiments: a table is a grid of independent rows (setting × seed), run one by one.

Each finished row is written to the result file at once, and its prompt beside it, so a run that is
stopped leaves whole rows and goes on with the next. The file says everything needed to run it
again: command, settings, seeds, versions, device, seconds, and for every row which test examples
were right, so that any paired comparison can be computed from it later.

The experiments here are the ablations of Lester et al. 2021, figure 3, and their comparison with
fine-tuning, figure 1. On the default models: ``lester-length``, ``lester-init`` and
``learning-rate``; those about T5's pre-training need T5 checkpoints (``full`` profile, from the
Hub, or ``backbone`` with a folder).

Usage::

    result = run("lester-init", backbone="smollm2", seeds=(0, 1, 2), out="data/reference")
    result["verdict"]
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers.optimization import Adafactor

from labkit.core import statistics
from labkit.core.backbones import Backbone, load_backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.tasks import Task, load_task
from labkit.core.tuning import History, fit
from labkit.hard_prompt import score_grid, sentiment_grid
from labkit.soft_prompt import initialise, save_prompt

OnProgress = Callable[[int, int, str], None]
"""Called with (rows done, rows in all, what is running)."""

DATA = Path(__file__).parents[1] / "data"
PROMPTS, REFERENCE = DATA / "prompts", DATA / "reference"
"""Trained prompts and results of longer runs that come with the course."""


@dataclass(frozen=True)
class Recipe:
    """How a prompt is trained: the settings that rows of one experiment share or vary."""

    length: int = 20
    init: str = "vocab"
    steps: int = 200
    batch_size: int = 16
    lr: float = 3e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float | None = None
    evaluate_every: int | None = None


# Settled on validation with one seed: for causal models a short warm-up and linear decay, for the
# encoder one epoch of larger batches at a higher rate.
RECIPES = {
    "causal": Recipe(lr=5e-3, schedule="linear", warmup=10),
    "encoder": Recipe(lr=1e-2, batch_size=32, steps=266, schedule="linear", warmup=10, clip=1.0),
    "mlm": Recipe(),
    "seq2seq": Recipe(),
}
LESTER = Recipe(
    length=100,
    init="labels",
    steps=30_000,
    batch_size=32,
    lr=0.3,
    optimizer="adafactor",
    weight_decay=1e-5,
    evaluate_every=500,
)
"""Lester et al. 2021, section 3 and appendix A.1; checkpoints chosen on validation."""

VALIDATION_SENTENCES = 300
"""Sample of validation on which the best hard prompt is chosen."""

FINE_TUNING = Recipe(steps=2000, batch_size=16, lr=1e-4, optimizer="adamw", evaluate_every=200)


@dataclass(frozen=True)
class Setting:
    """One line of a table.

    Attributes:
        name: what the line is called; method: ``prompt``, ``fine-tuning``, or a control: ``hard``
            (the best hard prompt, chosen on validation) or ``untrained`` (the prompt as drawn).
        sentinel: T5 only, the target begins with the span-corruption sentinel.
        adaptation: T5 only, steps of continued training as a prefix language model.
    """

    name: str
    backbone: str
    recipe: Recipe
    method: str = "prompt"
    sentinel: bool = False
    adaptation: int = 0


@dataclass(frozen=True)
class Claim:
    """What the paper says: the setting ``better`` scores higher than ``worse``."""

    text: str
    better: str
    worse: str


@dataclass(frozen=True)
class Experiment:
    """A named experiment: its settings for a backbone and profile, and the claims it examines."""

    name: str
    about: str
    settings: Callable[[str | None, str], list[Setting]]
    claims: tuple[Claim, ...]


# ---- the experiments ----


def _recipe(backbone: str, profile: str) -> Recipe:
    if profile == "full":
        return LESTER
    return RECIPES[load_backbone(backbone).readout]


def _length_settings(backbone: str | None, profile: str) -> list[Setting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = _recipe(name, profile)
    return [
        Setting(f"{n}", name, replace(recipe, length=n)) for n in (20, 1, 5, 100, 150)
    ]  # the usual length first: a stopped run leaves the row that all others are compared with


def _init_settings(backbone: str | None, profile: str) -> list[Setting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = _recipe(name, profile)
    return [Setting(how, name, replace(recipe, init=how)) for how in ("vocab", "labels", "uniform")]


def _rate_settings(backbone: str | None, profile: str) -> list[Setting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "minilm")
    recipe = _recipe(name, profile)
    return [
        Setting(f"{recipe.lr * factor:g}", name, replace(recipe, lr=recipe.lr * factor))
        for factor in (1, 0.1, 0.3, 3, 10)
    ]


def _objective_settings(backbone: str | None, profile: str) -> list[Setting]:
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    adapted = backbone or _t5("google/t5-base-lm-adapt", profile)
    plain = backbone or "google/t5-v1_1-base"
    # a published checkpoint is adapted already; one given by the user is adapted here
    steps = ADAPTATION_STEPS[profile][-1] if backbone else 0
    return [
        Setting("span corruption", plain, recipe),
        Setting("span corruption + sentinel", plain, recipe, sentinel=True),
        Setting("LM adaptation", adapted, recipe, adaptation=steps),
    ]


ADAPTATION_STEPS = {"small": (0, 50, 100), "full": (0, 10_000, 20_000, 50_000, 100_000)}


def _adaptation_settings(backbone: str | None, profile: str) -> list[Setting]:
    name = backbone or _t5("google/t5-v1_1-base", profile)
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    return [
        Setting(f"{steps} steps", name, recipe, adaptation=steps)
        for steps in ADAPTATION_STEPS[profile]
    ]


def _scale_settings(backbone: str | None, profile: str) -> list[Setting]:
    sizes = ("small", "base", "large", "xl", "xxl")
    given = backbone.split(",") if backbone else None
    names = given or [_t5(f"google/t5-{size}-lm-adapt", profile) for size in sizes]
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    tuned = FINE_TUNING if profile == "full" else replace(FINE_TUNING, steps=200)
    settings = []
    for name in names:
        settings.append(Setting(f"{_short(name)}: prompt", name, recipe))
        settings.append(Setting(f"{_short(name)}: fine-tuning", name, tuned, method="fine-tuning"))
    return settings


def _t5(name: str, profile: str) -> str:
    if profile != "full":
        raise LabError(
            "this experiment is about T5, and no T5 comes with the default models; use --profile "
            "full with the network on, or give --backbone with a T5 folder"
        )
    return name


def _control_settings(backbone: str | None, profile: str) -> list[Setting]:
    name = backbone or "smollm2"
    recipe = _recipe(name, profile)
    return [
        Setting("soft prompt", name, recipe),
        Setting("best hard prompt", name, recipe, method="hard"),
        Setting("untrained soft prompt", name, recipe, method="untrained"),
    ]


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "soft-against-hard",
            "a trained prompt beside its controls, ours",
            _control_settings,
            (
                Claim(
                    "the soft prompt scores higher than the best hard prompt",
                    "soft prompt",
                    "best hard prompt",
                ),
                Claim(
                    "training scores higher than not training",
                    "soft prompt",
                    "untrained soft prompt",
                ),
            ),
        ),
        Experiment(
            "lester-length",
            "prompt length (figure 3a)",
            _length_settings,
            (
                Claim("20 virtual tokens score higher than one", "20", "1"),
                Claim("100 virtual tokens score higher than 20", "100", "20"),
            ),
        ),
        Experiment(
            "lester-init",
            "initialisation (figure 3b)",
            _init_settings,
            (
                Claim("sampled vocabulary scores higher than uniform", "vocab", "uniform"),
                Claim("class labels score higher than uniform", "labels", "uniform"),
                Claim("class labels score higher than sampled vocabulary", "labels", "vocab"),
            ),
        ),
        Experiment("learning-rate", "learning rate, ours", _rate_settings, ()),
        Experiment(
            "lester-objective",
            "pre-training objective of T5 (figure 3c)",
            _objective_settings,
            (
                Claim(
                    "LM adaptation scores higher than span corruption",
                    "LM adaptation",
                    "span corruption",
                ),
                Claim(
                    "a sentinel scores higher than none",
                    "span corruption + sentinel",
                    "span corruption",
                ),
            ),
        ),
        Experiment(
            "lester-adaptation",
            "how long the LM adaptation of T5 (figure 3d)",
            _adaptation_settings,
            (Claim("the longest adaptation scores higher than none", "LAST", "FIRST"),),
        ),
        Experiment(
            "lester-scale",
            "prompt tuning against fine-tuning over model sizes (figure 1)",
            _scale_settings,
            (Claim("at the largest size, fine-tuning scores higher", "LAST", "PREVIOUS"),),
        ),
    )
}


def names() -> list[str]:
    return list(EXPERIMENTS)


def reference(name: str, backbone: str, task: str = "rt-polarity") -> dict:
    """The result of a longer run that comes with the course."""
    file = REFERENCE / f"{name}-{backbone}-{task}.json"
    if not file.is_file():
        raise LabError(
            f"there is no reference result {file.name}; make it with `labkit run {name}`"
        )
    return json.loads(file.read_text(encoding="utf-8"))


def by_seed(result: Mapping, settings: Sequence[str]) -> np.ndarray:
    """Test values (seeds, settings) of a result, NaN where a row was not run."""
    values = {(row["seed"], row["setting"]): row["value"] for row in result["rows"]}
    seeds = sorted({seed for seed, _ in values})
    return np.array([[values.get((seed, s), np.nan) for s in settings] for seed in seeds])


# ---- running ----


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
    on_progress: OnProgress | None = None,
) -> dict:
    """Run an experiment and write ``<out>/<name>-<backbone>-<task>.json``.

    Args:
        backbone: instead of the experiment's own; for ``lester-scale`` several, with commas.
        limit: test on a sample of that many examples (default: the whole split).
        resume: keep the rows that the file has, run the others.

    Returns:
        What the file holds: ``rows``, ``summary``, ``verdict`` and how they were made.

    Raises:
        LabError: for an unknown name, or a result file that stands in the way.
    """
    if name not in EXPERIMENTS:
        raise LabError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    chosen = load_task(task or "rt-polarity")
    settings = experiment.settings(backbone, profile)
    command = (
        f"labkit run {name} --profile {profile} --backbone {backbone or settings[0].backbone} "
        f"--task {chosen.name} --seeds {','.join(map(str, seeds))}"
    )
    file = Path(out) / f"{name}-{_short(settings[0].backbone)}-{chosen.name}.json"
    result = _start(file, resume, name=name, task=chosen.name)
    result["command"] = command
    done = {(row["setting"], row["seed"]) for row in result["rows"]}
    # seed by seed: a stopped run has every setting before it has a second seed
    grid = [(setting, seed) for seed in seeds for setting in settings]
    for index, (setting, seed) in enumerate(grid):
        if on_progress is not None:
            on_progress(index, len(grid), f"{setting.name}, seed {seed}")
        if (setting.name, seed) in done:
            continue
        checkpoint = file.with_suffix("") / f"{index}"
        row = _same_row(Path(out), setting, chosen.name, seed, limit)
        if row is None:
            row, model, prompt = run_row(setting, chosen, seed, limit, checkpoint)
            if prompt is not None:
                kept = file.with_suffix("") / f"{_file_name(setting.name)}-seed{seed}"
                save_prompt(kept, prompt, model, command=command, seed=seed, scores=_told(row))
        result["rows"].append(row)
        result["summary"] = summarise(result["rows"])
        result["verdict"] = judge(result["rows"], experiment.claims)
        _write(file, result)
        _remove_checkpoint(checkpoint)
    if on_progress is not None:
        on_progress(len(grid), len(grid), "done")
    return result


def run_row(
    setting: Setting,
    task: Task,
    seed: int,
    limit: int | None = None,
    checkpoint: Path | None = None,
) -> tuple[dict, PromptedModel, nn.Module | None]:
    """Run one setting with one seed and evaluate it on test.

    Returns:
        The row of the table, the model, and the prompt (None for hard prompts and fine-tuning).
    """
    act = _hard if setting.method == "hard" else _trained
    model, prompt, result, made = act(setting, task, seed, limit, checkpoint)
    row = {
        "setting": setting.name,
        "seed": seed,
        "backbone": setting.backbone,
        "method": setting.method,
        **made,
        **_scores(result),
    }
    return row, model, prompt


def _trained(
    setting: Setting, task: Task, seed: int, limit: int | None, checkpoint: Path | None
) -> tuple[PromptedModel, nn.Module | None, Evaluation, dict]:
    """A prompt or a backbone trained by the setting's recipe (or a prompt left as drawn)."""
    recipe = setting.recipe
    tuning_weights = setting.method == "fine-tuning"
    if setting.adaptation:
        backbone = adapted(setting.backbone, setting.adaptation, seed)
    else:
        backbone = load_backbone(setting.backbone, trainable=tuning_weights)
    model = PromptedModel.for_task(backbone, task, soft=not tuning_weights)
    model.sentinel = model.sentinel or setting.sentinel
    prompt = None
    if not tuning_weights:
        prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, seed)
    history = History()
    if setting.method != "untrained":
        history = fit(
            model,
            prompt,
            task,
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            lr=recipe.lr,
            optimizer=recipe.optimizer,
            schedule=recipe.schedule,
            warmup=recipe.warmup,
            weight_decay=recipe.weight_decay,
            clip=recipe.clip,
            evaluate_every=recipe.evaluate_every,
            seed=seed,
            checkpoint=checkpoint,
            resume=checkpoint is not None,
        )
    result = evaluate(model, prompt, task, "test", limit=limit)
    return (
        model,
        prompt,
        result,
        {
            **asdict(recipe),
            "template": model.template.text,
            "loss": float(np.mean(history.losses[-20:])) if history.losses else None,
            "best_step": history.best_step,
            "seconds": round(history.seconds, 1),
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
        },
    )


def _hard(
    setting: Setting, task: Task, seed: int, limit: int | None, checkpoint: Path | None
) -> tuple[PromptedModel, None, Evaluation, dict]:
    """The best cell of the course's grid on validation, calibrations and examples included."""
    started = time.perf_counter()
    backbone = load_backbone(setting.backbone)
    templates, verbalizers = sentiment_grid(backbone.readout, task, seed)
    grid = score_grid(backbone, task, templates, verbalizers, "validation", VALIDATION_SENTENCES)
    cell = grid.best()
    model = PromptedModel(backbone, templates[cell.template], verbalizers[cell.words])
    result = evaluate(model, None, task, "test", limit=limit, bias=grid.bias(cell))
    return (
        model,
        None,
        result,
        {
            **cell._asdict(),
            "cells": len(grid.cells()),
            "validation": float(grid.correct(cell).mean()),
            "validation_n": len(grid.targets),
            "seconds": round(time.perf_counter() - started, 1),
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
        },
    )


def _scores(result: Evaluation) -> dict:
    """The scores of a row; for accuracy also which examples were right, as a string of 0 and 1."""
    scores = {
        "metric": result.metric,
        "value": result.value,
        "ci95": list(result.ci95),
        "n": result.n,
        "majority": result.majority,
    }
    if result.metric == "accuracy":
        scores["correct"] = "".join("01"[int(right)] for right in result.correct)
    return scores


def _told(row: Mapping) -> dict:
    """What a saved prompt says of its scores: the row without its list of right answers."""
    return {key: row[key] for key in ("metric", "value", "ci95", "n", "majority")}


def adapted(name: str, steps: int, seed: int, batch_size: int = 16) -> Backbone:
    """T5 trained on as a prefix language model (Lester et al. 2021, section 3.2), then frozen.

    Each text is cut at a random piece; the encoder reads the first part and the decoder writes the
    rest. The paper adapts on C4 for up to 100,000 steps; the text at hand here is the 5,190
    sentences of the editorials, so this shows the procedure rather than the paper's result.
    """
    backbone = load_backbone(name, trainable=True)
    if backbone.readout != "seq2seq":
        raise LabError(f"{name} is no sequence-to-sequence model; LM adaptation is for T5")
    texts = [example.text for example in load_task("editorials-valence").split("train")]
    random = np.random.default_rng(seed)
    optimizer = Adafactor(
        backbone.model.parameters(), lr=1e-3, relative_step=False, scale_parameter=False
    )
    backbone.train()
    for batch in _prefix_batches(backbone, texts, steps, batch_size, random):
        optimizer.zero_grad()
        backbone.model(**batch).loss.backward()
        optimizer.step()
    backbone.trainable = False
    backbone.model.requires_grad_(False)
    return backbone.eval()


def _prefix_batches(
    backbone: Backbone, texts: Sequence[str], steps: int, batch_size: int, random
) -> Iterator[dict[str, torch.Tensor]]:
    tokenizer = backbone.tokenizer
    cut = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    pieces = [ids[: backbone.max_length - 1] for ids in cut if len(ids) > 3]
    for _ in range(steps):
        chosen = [pieces[i] for i in random.integers(len(pieces), size=batch_size)]
        cuts = [int(random.integers(1, len(ids))) for ids in chosen]
        inputs = [ids[:cut] for ids, cut in zip(chosen, cuts, strict=True)]
        targets = [
            [*ids[cut:], tokenizer.eos_token_id] for ids, cut in zip(chosen, cuts, strict=True)
        ]
        yield {
            "input_ids": _padded(inputs, tokenizer.pad_token_id, backbone.device),
            "attention_mask": _padded([[1] * len(ids) for ids in inputs], 0, backbone.device),
            "labels": _padded(targets, -100, backbone.device),
        }


def _padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows], device=device)


def _same_row(out: Path, setting: Setting, task: str, seed: int, limit: int | None) -> dict | None:
    """A finished row of another experiment in ``out`` that trained the same thing, if any."""
    wanted = {**asdict(setting.recipe), "backbone": setting.backbone, "seed": seed}
    if setting.method != "prompt" or setting.sentinel or setting.adaptation or limit is not None:
        return None
    for file in sorted(out.glob(f"*-{_short(setting.backbone)}-{task}.json")):
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            if row["method"] == "prompt" and wanted.items() <= row.items():
                return {**row, "setting": setting.name}
    return None


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
        pairs = _pairs(rows, better, worse)
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


def _pairs(
    rows: Sequence[Mapping], better: str, worse: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Correctness (seeds, N) of both settings, for the seeds that have both."""
    right = {
        (row["setting"], row["seed"]): np.array([c == "1" for c in row["correct"]])
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


def _write(file: Path, result: Mapping) -> None:
    """Write aside, then move into place: a reader never sees half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{os.getpid()}.part")
    aside.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(aside, file)
    file.with_suffix(".md").write_text(as_markdown(result), encoding="utf-8")


def as_markdown(result: Mapping) -> str:
    """The result as a table, and the verdict on each claim."""
    lines = [
        f"# {result['name']} ({result['task']})",
        "",
        f"`{result['command']}`, test n = {result['rows'][0]['n']}",
        "",
        "| setting | mean | 95 % interval over seeds | seeds |",
        "|---|---|---|---|",
    ]
    for row in result["summary"]:
        interval = "–" if row["ci95"] is None else "{:.3f} … {:.3f}".format(*row["ci95"])
        lines.append(f"| {row['setting']} | {row['mean']:.3f} | {interval} | {row['seeds']} |")
    for verdict in result["verdict"]:
        low, high = verdict["ci95"]
        lines += [
            "",
            f"- {verdict['claim']}: {verdict['difference']:+.3f} [{low:+.3f}, {high:+.3f}], "
            f"{verdict['seeds']} seeds: {verdict['verdict']}",
        ]
    return "\n".join(lines) + "\n"


def _remove_checkpoint(folder: Path) -> None:
    (folder / "state.pt").unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def _file_name(setting: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", setting)


def _short(backbone: str) -> str:
    return backbone.rstrip("/").split("/")[-1]
