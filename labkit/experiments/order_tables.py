"""Tables 1–6 of Liu, Cheng and Liu 2024, and every exchange of two virtual tokens.

The ``small`` profile takes the default models and fewer orders; ``full`` takes the paper's models,
sizes and numbers of orders, from the Hub, for a GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from labkit.core.loading import has_bos
from labkit.core.statistics import LEAST_TO_HALVE
from labkit.core.tasks import Task
from labkit.experiments.base.models import parameter_count, short
from labkit.experiments.base.recipe import recipe_for
from labkit.experiments.base.requirements import at_least
from labkit.experiments.base.setting import TASK_OF, Experiment
from labkit.experiments.order import TEST_EXAMPLES, OrderSetting, judged, order_row, pool, relabel
from labkit.experiments.order_report import as_markdown
from labkit.shuffle_probe import Shuffle

MODELS = {
    "google-bert/bert-base-uncased": ("Bert-base", 110e6),
    "google-bert/bert-large-uncased": ("Bert-large", 335e6),
    "google-t5/t5-base": ("T5-base", 223e6),
    "FacebookAI/roberta-base": ("RoBERTa-base", 125e6),
    "google-t5/t5-small": ("T5-small", 61e6),
    "google-t5/t5-large": ("T5-large", 738e6),
}
"""The paper's models: what its tables call them, and their parameters."""

WITHOUT_BOS = tuple(name for name in MODELS if name.startswith("google-t5/"))
"""Those of the paper's models whose tokenizer has no BOS, so that none is fetched to know it."""


def _names(backbone: str | None, profile: str, full: Sequence[str]) -> list[str]:
    if backbone is not None:
        return backbone.split(",")
    return list(full) if profile == "full" else ["minilm", "smollm2"]


def _setting(label: str, name: str, profile: str, length: int, **more: object) -> OrderSetting:
    return OrderSetting(label, name, recipe_for(name, profile, length), profile=profile, **more)


def _can_begin_with_bos(name: str) -> bool:
    return name not in WITHOUT_BOS if name in MODELS else has_bos(name)


def _with_bos(name: str) -> str:
    return f"{short(name)}, BOS in front"


def _models(backbone: str | None, profile: str) -> list[OrderSetting]:
    many, few = (500, 500) if profile == "full" else (200, 50)
    settings = []
    for name in _names(backbone, profile, list(MODELS)[:4]):
        make = functools.partial(_setting, name=name, profile=profile, length=100)
        label, paper = short(name), MODELS.get(name, (None,))[0]
        printed = None if paper is None else f"1:{paper}"
        kept = Shuffle(fixed=(0, 0))
        settings += [
            make(label, permutations=many, paper=printed),
            make(f"{label}, first virtual token kept", permutations=few, shuffle=kept),
            make(f"{label}, trained without positions", permutations=few, positions=False),
        ]
        if _can_begin_with_bos(name):
            settings.append(make(_with_bos(name), permutations=few, bos="first"))
    return settings


def _models_as_markdown(result: Mapping) -> str:
    """The table, with the models that have no line of their own behind a BOS token."""
    settings = result.get("settings", ())  # older files don't name them
    models = dict.fromkeys(row["backbone"] for row in result["rows"]) if settings else ()
    without = [short(name) for name in models if _with_bos(name) not in settings]
    return as_markdown(
        result,
        [f"- {name} has no line with a BOS in front: its tokenizer has none" for name in without],
    )


def _labelled(name: str, several: bool, label: object) -> str:
    return f"{short(name)}: {label}" if several else str(label)


def _blocks(backbone: str | None, profile: str) -> list[OrderSetting]:
    names = _names(backbone, profile, list(MODELS)[:1])
    few = 200 if profile == "full" else 50
    return [
        _setting(
            _labelled(name, len(names) > 1, f"blocks of {unit}" if unit > 1 else "single tokens"),
            name,
            profile,
            100,
            shuffle=Shuffle(unit),
            permutations=200 if unit == 1 else few,
            paper=f"2:{unit}",
        )
        for name in names
        for unit in (1, 5, 10, 20)
    ]


FIXED = ((0, 50), (0, 80), (0, 90), (50, 99), (20, 99), (10, 99))
"""The paper's table 3: first and last virtual token that are kept in place, of 100."""


def _fixed_parts(backbone: str | None, profile: str) -> list[OrderSetting]:
    names = _names(backbone, profile, list(MODELS)[:1])
    return [
        _setting(
            _labelled(name, len(names) > 1, "{}-{} kept".format(*part)),
            name,
            profile,
            100,
            shuffle=Shuffle(fixed=part),
            permutations=200 if profile == "full" else 50,
            paper="3:{}-{}".format(*part),
        )
        for name in names
        for part in FIXED
    ]


TASKS = {"small": ("sst2", "stsb", "mrpc", "rte"), "full": ("stsb", "rte", "mrpc")}


def _tasks(backbone: str | None, profile: str) -> list[OrderSetting]:
    names = _names(backbone, profile, ["google-t5/t5-base"])
    length, count = (100, 500) if profile == "full" else (20, 50)
    return [
        _setting(
            _labelled(name, len(names) > 1, task),
            name,
            profile,
            length,
            task=task,
            permutations=count,
            paper=f"4:{task}" if task in TASKS["full"] else None,
        )
        for name in names
        for task in TASKS[profile]
    ]


def _lengths(backbone: str | None, profile: str) -> list[OrderSetting]:
    names = _names(backbone, profile, ["google-t5/t5-base"])
    return [
        _setting(
            _labelled(name, len(names) > 1, f"{length} virtual tokens"),
            name,
            profile,
            length,
            permutations=500 if profile == "full" else 200 if length in (20, 100) else 50,
            paper=f"5:{length}",
        )
        for name in names
        for length in (20, 5, 10, 50, 100)
    ]


def _sizes(backbone: str | None, profile: str) -> list[OrderSetting]:
    full = [f"google-t5/t5-{size}" for size in ("small", "base", "large")]
    length, count = (100, 500) if profile == "full" else (20, 200)
    return [
        _setting(
            short(name),
            name,
            profile,
            length,
            permutations=count,
            paper=f"6:{MODELS[name][0]}" if name in MODELS else None,
        )
        for name in _names(backbone, profile, full)
    ]


def _swaps(backbone: str | None, profile: str) -> list[OrderSetting]:
    return [
        _setting(short(name), name, profile, 20, named="swaps")
        for name in _names(backbone, profile, list(MODELS)[:1])
    ]


# ---- how long it will take ----

PIECES = 30
"""Pieces of a text and its template, for the estimate."""


def _arithmetic(setting: OrderSetting, task: Task) -> float:
    """FLOP of training (forward, and backward through the activations) and of probing."""
    parameters = MODELS.get(setting.backbone, (None, 0.0))[1] or parameter_count(setting.backbone)
    recipe, tokens = setting.recipe, setting.recipe.length + PIECES
    examples = min(TEST_EXAMPLES[setting.profile], len(task.split("test")))
    trained = 2 * recipe.steps * recipe.batch_size
    probed = setting.permutations * examples
    return 2.0 * parameters * tokens * (trained + probed)


_STSB = {"small": "rt-polarity", "full": "stsb"}


Report = Callable[[Mapping], str]


def _table(
    number: int, about: str, settings, tasks: Mapping[str, str], report: Report = as_markdown
) -> Experiment:
    return _about_order(f"table{number}", about, settings, tasks, report)


def _about_order(
    name: str, about: str, settings, tasks: Mapping[str, str], report: Report = as_markdown
) -> Experiment:
    return Experiment(
        name,
        about,
        settings,
        order_row,
        report=report,
        work=_arithmetic,
        tasks=tasks,
        relabel=relabel,
        judge_row=judged,
        pool=pool,
        needs=(at_least(LEAST_TO_HALVE),),
    )


EXPERIMENTS = (
    _table(1, "order sensitivity of different models", _models, TASK_OF, _models_as_markdown),
    _table(2, "blocks of virtual tokens change places", _blocks, TASK_OF),
    _table(3, "a part of the prompt is kept in place", _fixed_parts, TASK_OF),
    _table(4, "order sensitivity on different tasks", _tasks, _STSB),
    _table(5, "order sensitivity of prompts of different length", _lengths, _STSB),
    _table(6, "order sensitivity of models of different size", _sizes, _STSB),
    _about_order("swaps", "every two virtual tokens change places, ours", _swaps, TASK_OF),
)
