"""From model to model without training: anchor words instead of a learned map.

A row reads a prompt that the course keeps for another model through words that both have
(`labkit.prompt_transfer.anchors`). Beside it stand the same with the anchors paired at random,
which keeps everything but what they mean, vectors that no task has trained, this model's own
prompt, and no prompt at all. The learned map's scores are those of ``cross-model``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.experiments.base.kept import course_folder
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.experiments.base.verdicts import Claim
from labkit.experiments.cross_model import SOURCE_MODEL
from labkit.prompt_transfer.anchors import by_anchors, shared_words
from labkit.soft_prompt import SoftPrompt, load_for

ANCHORS, AT_RANDOM, UNTRAINED, OWN, NO_PROMPT = INPUTS = (
    "anchors",
    "anchors paired at random",
    "untrained vectors",
    "its own prompt",
    "no prompt",
)


@dataclass(frozen=True)
class AnchorSetting(Setting):
    """``read`` is one of :data:`INPUTS`; ``source_model`` is whose prompt."""

    read: str = ANCHORS
    source_model: str = "smollm2"


def anchor_row(setting: AnchorSetting, task: Task, seed: int, place: Place) -> dict:
    """The prompt with this seed, brought over in the setting's way and scored on test."""
    backbone = shared_backbone(setting.backbone)
    vectors, anchors = _vectors(setting, backbone, task, seed)
    model = PromptedModel.for_task(backbone, task, soft=vectors is not None)
    prompt = None if vectors is None else SoftPrompt(vectors)
    return {
        "source_model": setting.source_model,
        "task": task.name,
        "method": "anchors",
        "anchors": anchors,
        **backbone.where(),
        **scores_of(evaluate(model, prompt, task, "test", limit=place.limit)),
    }


def _vectors(
    setting: AnchorSetting, backbone: Backbone, task: Task, seed: int
) -> tuple[Tensor | None, int | None]:
    """What is read, (P, D) or no prompt, and by how many anchors it was brought over."""
    if setting.read == NO_PROMPT:
        return None, None
    if setting.read == OWN:
        return kept_vectors(setting.backbone, task.name, seed), None
    given = kept_vectors(setting.source_model, task.name, seed)  # (P, S)
    if setting.read == UNTRAINED:
        return SoftPrompt.from_vocab(backbone, len(given), seed)().detach(), None
    source = shared_backbone(setting.source_model)
    source_ids, target_ids = shared_words(source, backbone)
    if setting.read == AT_RANDOM:
        generator = torch.Generator().manual_seed(seed)
        target_ids = target_ids[torch.randperm(len(target_ids), generator=generator)]
    return by_anchors(given, source, backbone, (source_ids, target_ids)), len(source_ids)


def kept_vectors(backbone: str, task: str, seed: int) -> Tensor:
    """The virtual tokens (P, D) of the prompt that the course keeps: of seed 0, or another.

    Raises:
        LabError: where it keeps none with this seed.
    """
    folder = course_folder(backbone, task, seed)
    if not folder.is_dir():
        raise LabError(
            f"the course keeps no prompt of {short(backbone)} for {task} with seed {seed} "
            f"({folder.name}); ask for other seeds, or train it: labkit tune --out {folder.name}"
        )
    return load_for(shared_backbone(backbone), folder)[0]().detach()


def _settings(backbone: str | None, profile: str) -> list[AnchorSetting]:
    name = backbone or "minilm"
    readout = readout_of(name)
    source = SOURCE_MODEL.get(readout, "minilm")
    recipe = RECIPES[readout]
    return [AnchorSetting(way, name, recipe, read=way, source_model=source) for way in INPUTS]


EXPERIMENTS = (
    Experiment(
        "anchor-transfer",
        "prompts of one model read by another through words that both have, ours",
        _settings,
        anchor_row,
        (
            Claim("anchors − the same paired at random", ANCHORS, AT_RANDOM),
            Claim("anchors − untrained vectors", ANCHORS, UNTRAINED),
            Claim("anchors − no prompt", ANCHORS, NO_PROMPT),
        ),
    ),
)
