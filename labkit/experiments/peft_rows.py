"""Reference rows: prefix tuning and LoRA, built and run by PEFT, beside P-Tuning's.

The same backbone, template, label words, sentences, steps and loss as the rows of
`labkit.experiments.template_family` for the template as it is, so that they stand in one table.

Usage::

    result = run("peft-reference", out="data/reference", resume=True)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import statistics
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.sequences import Encoded, collate
from labkit.core.tasks import Task
from labkit.core.templates import Verbalizer
from labkit.core.tuning import epoch_batches
from labkit.experiments import template_family
from labkit.experiments.grid import (
    Experiment,
    Place,
    Recipe,
    Setting,
    as_digits,
    paired_answers,
)
from labkit.experiments.parameters import RANK

EVALUATION_BATCH = 16

_RECIPE = replace(template_family.RECIPES["free"], init="", length=20)
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


class PeftModel(nn.Module):
    """A causal backbone adapted by PEFT, read out at the answer as labkit reads it.

    Args:
        model: a hard prompt; its backbone is changed in place and is of no other use afterwards.

    Raises:
        LabError: for a method other than those of :data:`RECIPES`, another readout, or label words
            of several pieces.
    """

    def __init__(self, model: PromptedModel, method: str, length: int) -> None:
        super().__init__()
        if model.backbone.readout != "causal":
            raise LabError(
                f"{model.backbone.name} has the {model.backbone.readout} readout; these rows are "
                "for causal models"
            )
        if any(len(word) > 1 for word in model.labels().words):
            raise LabError(f"{model.verbalizer} has words of several pieces; choose others")
        self.model = model
        self.words = [word for (word,) in model.labels().words]
        with warnings.catch_warnings():  # PEFT calls transformers by a name that is going away
            warnings.simplefilter("ignore", FutureWarning)
            self.adapted = _adapt(model.backbone.model, method, length)

    def encode(self, examples: Sequence) -> list[Encoded]:
        return self.model.encode(examples, None)

    def forward(self, sequences: Sequence[Encoded]) -> Tensor:
        """Label scores (B, C): log-probabilities up to a constant per row."""
        batch = collate(sequences, self.model.backbone.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            logits = self.adapted(input_ids=batch.ids, attention_mask=batch.mask).logits
        last = batch.mask.sum(1) - 1
        return logits[torch.arange(len(last)), last][:, self.words].float()


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
    started = time.perf_counter()
    hard = PromptedModel(
        load_backbone(setting.backbone), template_family.BASE, Verbalizer(template_family.WORDS)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PeftModel(hard, setting.name, setting.recipe.length)
        losses = train(model, task, setting.recipe, seed, place.tell)
    limit = place.limit or setting.test_examples
    right = correct(model, task, "test", limit)
    return {
        "setting": setting.name,
        "seed": seed,
        "backbone": setting.backbone,
        "method": "PEFT",
        **asdict(setting.recipe),
        "template": hard.template.text,
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "losses": [round(loss, 4) for loss in losses],
        "seconds": round(time.perf_counter() - started, 1),
        **hard.backbone.where(),
        "metric": "accuracy",
        "value": sum(right) / len(right),
        "ci95": list(statistics.accuracy_interval(right)),
        "n": len(right),
        "majority": task.majority("test"),
        "correct": as_digits(right),
    }


def train(model: PeftModel, task: Task, recipe: Recipe, seed: int, tell) -> list[float]:
    """Adam with warm-up and linear decay on the task's train split: the loss of each step."""
    examples = task.split("train")
    sequences = model.encode(examples)
    targets = torch.tensor([example.label for example in examples])
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=recipe.lr)
    decay = max(recipe.steps - recipe.warmup, 1)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / max(recipe.warmup, 1), (recipe.steps - step) / decay),
    )
    per_epoch = epoch_batches(len(sequences), recipe.batch_size, seed, 0)
    losses: list[float] = []
    model.adapted.train()
    for step in range(recipe.steps):
        epoch, place = divmod(step, len(per_epoch))
        rows = epoch_batches(len(sequences), recipe.batch_size, seed, epoch)[place]
        scores = model([sequences[row] for row in rows])
        loss = F.cross_entropy(scores, targets[rows].to(scores.device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        rate.step()
        losses.append(loss.item())
        tell(step + 1, recipe.steps, f"training {step + 1}")
    model.adapted.eval()
    return losses


@torch.no_grad()
def correct(model: PeftModel, task: Task, split: str, limit: int) -> list[bool]:
    """Whether each example of the seeded sample is right."""
    examples = task.take(split, limit, seed=0)
    sequences = model.encode(examples)
    found: list[bool] = []
    for start in range(0, len(sequences), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        predicted = model(sequences[part]).argmax(-1).tolist()
        found += [p == e.label for p, e in zip(predicted, examples[part], strict=True)]
    return found


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
    found = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        own = [row for row in rows if row["setting"] == setting]
        pairs = paired_answers(rows, setting, free)
        if pairs is None:
            continue
        scores = tuple(row["value"] for row in own)
        apart = statistics.paired_difference(*pairs)
        name = setting.removesuffix(f": {first}")
        found.append(Beside(name, own[0]["trained"], scores, apart))
    return sorted(found, key=lambda each: each.trained)


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
