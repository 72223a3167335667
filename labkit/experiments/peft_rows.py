"""Reference rows: prefix tuning and LoRA, built and run by PEFT, beside P-Tuning's.

The same backbone, template, label words, sentences, steps and loss as the rows of
`labkit.experiments.template_family` for the template as it is, so that they stand in one table.

Usage::

    result = run("peft-reference", out="data/reference", resume=True)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labkit.core import statistics
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.sequences import Batch, Pieces
from labkit.core.tasks import Task
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.experiments import template_family
from labkit.experiments.base.rows import paired_answers, scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.experiments.parameters import RANK

_RECIPE = replace(template_family.RECIPES["free"], init="", length=20, clip=1.0)
# Rates chosen as the family's were: the best of three (a third and three times as much were worse)
# on 192 sentences of validation, with a seed that no row uses.
RECIPES = {
    "prefix tuning": replace(_RECIPE, lr=1e-2),
    "LoRA": replace(_RECIPE, lr=1e-3),
}


@dataclass(frozen=True)
class PeftSetting(Setting):
    """A method of PEFT's; ``test_examples`` as in the family's rows."""

    test_examples: int = template_family.TEST_EXAMPLES["small"]


class PeftBackbone(Backbone):
    """A causal backbone adapted by PEFT, read out at the answer as labkit reads it.

    PEFT's own parts are the only parameters that are free, so that `fit` trains them and nothing
    else.

    Args:
        backbone: is changed in place, and of no other use afterwards.

    Raises:
        LabError: for a method other than those of :data:`RECIPES`, or another readout.
    """

    readout = "causal"

    def __init__(self, backbone: Backbone, method: str, length: int) -> None:
        if backbone.readout != "causal":
            raise LabError(
                f"{backbone.name} has the {backbone.readout} readout; these rows are for causal "
                "models"
            )
        super().__init__(
            backbone.name,
            backbone.model,
            backbone.tokenizer,
            max_length=backbone.max_length,
            revision=backbone.revision,
        )
        with warnings.catch_warnings():  # PEFT calls transformers by a name that is going away
            warnings.simplefilter("ignore", FutureWarning)
            self.adapted = _adapt(backbone.model, method, length)

    def word_scores(self, batch: Batch, vectors: Tensor | None, words: Sequence[Pieces]) -> Tensor:
        """As in :class:`labkit.core.backbones.Backbone`, for words of one piece."""
        if any(len(word) > 1 for word in words):
            raise LabError("PEFT's rows are for label words of one piece; choose others")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            logits = self.adapted(input_ids=batch.ids, attention_mask=batch.mask).logits
        answers = logits[torch.arange(len(batch.ids)), batch.answer].float()  # (B, V)
        return answers.log_softmax(-1)[:, [piece for (piece,) in words]]

    def combine(self, word_scores: Tensor) -> Tensor:
        return word_scores.logsumexp(-1)


def adapted_by_peft(model: PromptedModel, method: str, length: int) -> PromptedModel:
    """A hard prompt with its backbone adapted by PEFT, see :class:`PeftBackbone`."""
    return model.with_changes(backbone=PeftBackbone(model.backbone, method, length))


def _adapt(network: nn.Module, method: str, length: int) -> nn.Module:
    import peft

    if method == "prefix tuning":
        config = peft.PrefixTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=length, init_weights="zero"
        )
    elif method == "LoRA":
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=RANK)
    else:
        raise LabError(f"method {method!r} has no row; choose one of {', '.join(RECIPES)}")
    return peft.get_peft_model(network, config)


def peft_row(setting: PeftSetting, task: Task, seed: int, place: Place) -> dict:
    """One method with one seed: trained, then scored on the family's test sample."""
    hard = PromptedModel(
        load_backbone(setting.backbone), template_family.BASE, Verbalizer(template_family.WORDS)
    )
    recipe = setting.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = adapted_by_peft(hard, setting.name, recipe.length)
    history = fit(
        model,
        None,
        task,
        recipe,
        seed=seed,
        on_step=place.on_step(recipe.steps),
    )
    result = evaluate(model, None, task, limit=place.limit or setting.test_examples)
    return {
        "method": "PEFT",
        **asdict(recipe),
        "template": hard.template.text,
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "losses": [round(loss, 4) for loss in history.losses],
        "seconds": round(history.seconds, 1),
        **model.backbone.where(),
        **scores_of(result),
    }


class Beside(NamedTuple):
    """A method trained on the family's first template, with as many seeds as it has.

    Attributes:
        trained: number of parameters; scores: accuracy of each seed.
        over_free: accuracy above free vectors, paired over examples and the seeds both have.
    """

    method: str
    trained: int
    scores: tuple[float, ...]
    over_free: statistics.Difference


def beside_family(family: Mapping, reference: Mapping) -> list[Beside]:
    """P-Tuning's ways on the template as it is, and PEFT's beside them: the smallest first."""
    first = next(iter(template_family.TEMPLATES))
    rows = [r for r in family["rows"] if r["member"] == first and r["method"] != "hard"]
    free = next(row["setting"] for row in rows if row["method"] == "free")
    rows += reference["rows"]
    beside = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        of_setting = [row for row in rows if row["setting"] == setting]
        pairs = paired_answers(rows, setting, free)
        if pairs is None:
            continue
        scores = tuple(row["value"] for row in of_setting)
        over_free = statistics.paired_difference(*pairs)
        name = setting.removesuffix(f": {first}")
        beside.append(Beside(name, of_setting[0]["trained"], scores, over_free))
    return sorted(beside, key=lambda method: method.trained)


def _settings(backbone: str | None, profile: str) -> list[PeftSetting]:
    return [
        PeftSetting(
            method,
            backbone or "smollm2",
            replace(recipe, steps=template_family.STEPS[profile]),
            test_examples=template_family.TEST_EXAMPLES[profile],
        )
        for method, recipe in RECIPES.items()
    ]


EXPERIMENTS = (
    Experiment(
        "peft-reference",
        "prefix tuning and LoRA through PEFT, beside P-Tuning's rows",
        _settings,
        peft_row,
    ),
)
