"""Placement: the same virtual tokens in front of the text, between text and words, and behind.

A row is a place, with a prompt trained there. Start, examples, their order and steps are the same
everywhere. *Between* is where the template's own words and the text meet; where it has no words,
half of the virtual tokens stand in front and half behind. *Behind* is the end of the input, next to
a causal model's answer. A sequence-to-sequence model has one more place: in front of what its
decoder writes. Controls: the start at each place as it was drawn, and no prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Task
from labkit.core.templates import Field, Mask, Template, Words, spell
from labkit.experiments.base.kept import checkpoint_beside
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import training_recipe
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import TASK_OF, Experiment, Place, Setting
from labkit.experiments.base.verdicts import Claim
from labkit.experiments.training import fitted
from labkit.soft_prompt import initialise
from labkit.soft_prompt.decoder_side import DecoderSide

IN_FRONT, BETWEEN, BEHIND = "in front", "between", "behind"
DECODER = "in front of the decoder"
PLACES = (IN_FRONT, BETWEEN, BEHIND, DECODER)
NO_PROMPT = "no prompt"


@dataclass(frozen=True)
class PlacementSetting(Setting):
    """``where``: the place, or none; ``trained``: False for the start as it was drawn."""

    where: str = IN_FRONT
    trained: bool = True

    @property
    def seeded(self) -> bool:
        """Without a prompt there is nothing that a seed draws."""
        return self.where != NO_PROMPT


def placed(template: Template, where: str, length: int) -> Template:
    """A template without virtual tokens, with ``length`` of them at one place of the input."""
    at = _index(template, where)
    if at is None:
        behind = placed(template, BEHIND, length).text
        half = f"{{soft:{length // 2}}}" if length > 1 else ""
        return Template(half + behind.replace("{soft}", f"{{soft:{length - length // 2}}}"))
    parts = [spell(part) for part in template.parts]
    before, behind = "".join(parts[:at]), "".join(parts[at:])
    if behind == "{mask}" and before.endswith(" "):  # the space is the answer's, not the slot's
        return Template(f"{before[:-1]}{{soft}} {{mask}}")
    return Template(f"{before}{{soft}}{behind}")


def _index(template: Template, where: str) -> int | None:
    """Before which part the virtual tokens stand; None for between, where there are no words."""
    parts = template.parts
    if where in (IN_FRONT, DECODER):
        return 0
    if where == BEHIND:
        return len(parts) - isinstance(parts[-1], Mask)
    fields = [index for index, part in enumerate(parts) if isinstance(part, Field)]
    behind_text, before_text = fields[-1] + 1, fields[0]
    if behind_text < len(parts) and _says_something(parts[behind_text]):
        return behind_text
    return before_text if before_text else None


def _says_something(part: object) -> bool:
    return isinstance(part, Words) and bool(part.text.strip())


def placement_row(setting: PlacementSetting, task: Task, seed: int, place: Place) -> dict:
    """Train at the place by the recipe's steps, and evaluate on test."""
    backbone, recipe = shared_backbone(setting.backbone), setting.recipe
    model = PromptedModel.for_task(backbone, task, soft=False)
    prompt = None
    if setting.where != NO_PROMPT:
        template = placed(model.template, setting.where, recipe.length)
        if setting.where == DECODER:
            model = model.with_changes(backbone=DecoderSide.of(backbone))
        model = model.with_changes(template=template)
        prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, seed)
    tell = place.on_step(recipe.steps)
    with checkpoint_beside(place.of_row(setting, seed)) as checkpoint:
        result, notes = fitted(
            model, prompt, task, recipe, seed, place.limit, checkpoint, tell, setting.trained
        )
    return {
        "method": "placement",
        "where": setting.where,
        "trained": setting.trained,
        **notes,
        **scores_of(result),
    }


def _untrained(where: str) -> str:
    return f"{where}, untrained"


def _settings(backbone: str | None, profile: str) -> list[PlacementSetting]:
    name = backbone or ("google-t5/t5-base" if profile == "full" else "smollm2")
    line = PlacementSetting(IN_FRONT, name, training_recipe(name, profile))
    places = PLACES if readout_of(name) == "seq2seq" else PLACES[:-1]
    lines = [replace(line, name=where, where=where) for where in places]
    lines += [replace(line, name=_untrained(line.where), trained=False) for line in lines]
    return [*lines, replace(line, name=NO_PROMPT, where=NO_PROMPT, trained=False)]


EXPERIMENTS = (
    Experiment(
        "placement",
        "the same virtual tokens in front, between, behind, before the decoder, ours",
        _settings,
        placement_row,
        claims=tuple(
            Claim(f"in front scores higher than {where}", IN_FRONT, where) for where in PLACES[1:]
        )
        + tuple(
            Claim(f"{where}: trained scores higher than untrained", where, _untrained(where))
            for where in PLACES
        ),
        tasks=TASK_OF,
    ),
)
