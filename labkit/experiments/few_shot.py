"""Few examples: fine-tuning, prompts, and prompts pre-trained on plain text (PPT).

Gu et al. 2022, figure 1 and table 2. A row is a method with n training examples and one draw of
them; as many again choose the best step. A *hybrid* prompt has words of the template beside its
virtual tokens. A *pre-trained* one was first trained on sentences of the editorials with the labels
that the model itself is surest of, PPT's task for single sentences: one such prompt for all draws.
A *context-aware* one (CPT, Blau et al. 2024) begins as four of the draw's examples, written out
with their labels, and is tuned within a small distance of them; its control is the same, untuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone, readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import Difference, paired_difference
from labkit.core.tasks import Example, Task
from labkit.core.templates import Template
from labkit.core.tuning import History, fit
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.kept import kept_prompt
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.origin import model_identity
from labkit.experiments.base.recipe import FINE_TUNING, RECIPES
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.rows import paired_answers, scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.prompt_pretraining import pretraining_task
from labkit.soft_prompt import ContextPrompt, SoftPrompt, demonstrations, initialise

SIZES = (8, 32, 128, 16, 64, 256)
"""Training examples; every other size first, so that a stopped run has the whole range."""

PLAIN, HYBRID = "prompt", "hybrid prompt"
PRETRAINED, PRETRAINED_HYBRID = "pre-trained prompt", "pre-trained hybrid prompt"
CONTEXT, DEMONSTRATIONS = "context-aware prompt", "demonstrations, untuned"
METHODS = ("fine-tuning", PLAIN, HYBRID, PRETRAINED, PRETRAINED_HYBRID, CONTEXT, DEMONSTRATIONS)

SHOTS = 4
"""Examples that a context-aware prompt begins as; fewer where they would fill half of the model."""

TEMPLATES = {
    "causal": ("{soft}{text} {mask}", "{soft}{text} It was {mask}"),
    "mlm": ("{soft}{text} {mask}", "{soft}{text} It was {mask}."),
    "seq2seq": ("{soft}{text}", "{soft}sentiment of the review: {text}"),
    "encoder": ("{soft}{text}", "{soft}a film review says: {text}"),
}
"""By readout: virtual tokens alone, and with words beside them."""

STEPS, BATCH, EVALUATE_EVERY = 100, 8, 10
TEST_EXAMPLES = 500
PRETRAINING_EXAMPLES = 2000


@dataclass(frozen=True)
class FewShotSetting(Setting):
    """A method with a number of training examples."""

    method: str = PLAIN
    examples: int = 32


def few_shot_row(setting: FewShotSetting, task: Task, seed: int, place: Place) -> dict:
    """Train on the examples that the seed draws, choose the step on as many others."""
    model = _model(setting, task)
    few = draw(model.view_of(task), setting.examples, seed)
    prompt = None if setting.method == "fine-tuning" else _start(setting, model, few, seed, place)
    history = History()
    if setting.method != DEMONSTRATIONS:
        history = fit(
            model,
            prompt,
            few,
            setting.recipe,
            seed=seed,
            on_step=place.on_step(setting.recipe.steps),
        )
    result = evaluate(model, prompt, task, limit=place.limit or TEST_EXAMPLES)
    return {
        "method": setting.method,
        "examples": setting.examples,
        **asdict(setting.recipe),
        "length": 0 if prompt is None else len(prompt()),
        "template": model.template.text,
        "best_step": history.best_step,
        "seconds": round(history.seconds, 1),
        **model.backbone.where(),
        **scores_of(result),
    }


def draw(task: Task, count: int, seed: int) -> Task:
    """The task with ``count`` examples to train on and as many others to choose by."""
    drawn = task.take("train", 2 * count, seed=seed)
    return task.with_splits(train=drawn[:count], validation=drawn[count:])


def _enough(setting: FewShotSetting, task: Task, limit: int | None) -> None:
    """Examples to train on, and as many others.

    Raises:
        LabError: for a train split with fewer.
    """
    there, asked = len(task.split("train")), 2 * setting.examples
    if there < asked:
        raise LabError(
            f"the train split of {task.name} has {there} examples; {setting.name!r} takes {asked}, "
            "half of them to choose the step by: name smaller rows with --only"
        )


def _model(setting: FewShotSetting, task: Task) -> PromptedModel:
    if setting.method == "fine-tuning":
        backbone = load_backbone(setting.backbone, trainable=True)
        return PromptedModel.for_task(backbone, task, soft=False)
    backbone = shared_backbone(setting.backbone)
    text = TEMPLATES[backbone.readout][setting.method not in (PLAIN, PRETRAINED)]
    return PromptedModel.for_task(backbone, task).with_changes(template=Template(text))


def _start(
    setting: FewShotSetting, model: PromptedModel, few: Task, seed: int, place: Place
) -> nn.Module:
    if setting.method in (CONTEXT, DEMONSTRATIONS):
        return _context(model, demonstrations(few, SHOTS, seed))
    if setting.method in (PRETRAINED, PRETRAINED_HYBRID):
        return _pretrained(setting, model.backbone, place)
    recipe = setting.recipe
    return initialise(recipe.init, model.backbone, recipe.length, model.verbalizer, seed)


def _context(model: PromptedModel, shots: list[Example]) -> ContextPrompt:
    prompt = ContextPrompt(model, shots)
    too_long = len(prompt.words) > model.max_length // 2 and len(shots) > 1
    return _context(model, shots[:-1]) if too_long else prompt


def _pretrained(setting: FewShotSetting, backbone: Backbone, place: Place) -> SoftPrompt:
    """The pre-trained prompt, trained once and kept beside the table."""
    recipe = replace(RECIPES[backbone.readout], length=setting.recipe.length)
    data = pretraining_task("single", backbone, PRETRAINING_EXAMPLES)
    model = PromptedModel.for_task(backbone, data)
    prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, 0)

    def train(_checkpoint: Path) -> dict:
        fit(model, prompt, data, recipe)
        return {}

    digest = digest_of([asdict(recipe), PRETRAINING_EXAMPLES, *model_identity(setting.backbone)])
    folder = place.folder / "pre-trained"
    return kept_prompt(folder, place, model, prompt, train, seed=0, digest=digest)[0]


def table(result: Mapping) -> dict[str, dict[int, list[float]]]:
    """Method → training examples → the score of every draw."""
    by_method: dict[str, dict[int, list[float]]] = {}
    for row in result["rows"]:
        by_method.setdefault(row["method"], {}).setdefault(row["examples"], []).append(row["value"])
    return {method: dict(sorted(sizes.items())) for method, sizes in by_method.items()}


def gains(result: Mapping, better: str, worse: str) -> dict[int, Difference]:
    """Training examples → ``better`` minus ``worse``, paired over draws and test examples."""
    by_size = answers_by_size(result, better, worse)
    return {size: paired_difference(*pair) for size, pair in by_size.items()}


def answers_by_size(result: Mapping, better: str, worse: str) -> dict[int, tuple[np.ndarray, ...]]:
    """Training examples → :func:`answers` of both methods, where they share draws."""
    sizes = sorted({row["examples"] for row in result["rows"]})
    pairs = {size: answers(result, better, worse, size) for size in sizes}
    return {size: pair for size, pair in pairs.items() if pair is not None}


def answers(result: Mapping, better: str, worse: str, *sizes: int) -> tuple[np.ndarray, ...] | None:
    """Correctness (draws, N) of two methods with so many examples, one size after the other; of the
    draws that have all; None without any."""
    settings = [_named(method, size) for size in sizes for method in (better, worse)]
    return paired_answers(result["rows"], *settings)


def _named(method: str, size: int) -> str:
    return f"{method}, {size} examples"


def few_shot_as_markdown(result: Mapping) -> str:
    """Methods × training examples: mean over draws, and their standard deviation."""
    sizes = sorted({row["examples"] for row in result["rows"]})
    spread = ", mean over draws ± their standard deviation"
    lines = report_head(result, ["training examples", *sizes], spread)
    for method, by_size in table(result).items():
        lines.append(cells([method, *(_mean_and_spread(by_size.get(size, [])) for size in sizes)]))
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: list[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _settings(backbone: str | None, profile: str) -> list[FewShotSetting]:
    name = backbone or "minilm"
    few = {"steps": STEPS, "batch_size": BATCH, "evaluate_every": EVALUATE_EVERY}
    prompt = replace(RECIPES[readout_of(name)], **few)
    weights = replace(FINE_TUNING, **few)
    return [
        FewShotSetting(
            _named(method, size),
            name,
            weights if method == "fine-tuning" else prompt,
            method=method,
            examples=size,
        )
        for size in SIZES
        for method in METHODS
    ]


EXPERIMENTS = (
    Experiment(
        "few-shot",
        "8 to 256 examples: fine-tuning, prompts, pre-trained (PPT, figure 1) or context-aware",
        _settings,
        few_shot_row,
        report=few_shot_as_markdown,
        needs=(_enough,),
    ),
)
