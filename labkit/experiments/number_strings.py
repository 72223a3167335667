"""``number-strings``: STS-B read off two label words, and off the number that T5 writes itself.

T5 was trained to write similarities out, rounded to steps of 0.2 (Raffel et al. 2020, section 2.4).
The laboratory reads them off two poles instead, "No" and "Yes", with every model alike. Both ways
have the same template, virtual tokens, examples and steps. The prompt of the one is trained on the
share of the poles, that of the other on the text of the right number; a written answer that is no
number between the limits counts as the middle, and its share stands in the row. Writing takes
longer to learn: one line has three times the steps. Controls: both readings without a prompt, and
the number asked for in T5's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import mean_with_interval, pearson, pearson_interval
from labkit.core.tasks import Task
from labkit.core.tuning import CLASSES, TARGET
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import training_recipe
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import writes_text
from labkit.experiments.base.setting import PROFILES, Experiment, Place
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import OrderSetting, trained_prompt
from labkit.glue import read_numbers, with_number_strings

TEST_EXAMPLES = {"small": 1000, "full": 1_000_000}
POLES, NUMBER = "two poles", "number written"
LONGER = f"{NUMBER}, three times the steps"
T5_WORDS = "stsb sentence1: {sentence1} sentence2: {sentence2}"
"""How T5's own training spells a pair (Raffel et al. 2020, appendix D.4)."""


@dataclass(frozen=True)
class NumberSetting(OrderSetting):
    """``answer``: how the similarity is read; ``prompted``: behind a trained prompt or none;
    ``asked_as``: a template instead of the task's own."""

    answer: str = POLES
    prompted: bool = True
    asked_as: str | None = None

    @property
    def seeded(self) -> bool:
        """Without a prompt there is nothing that a seed draws."""
        return self.prompted


def number_row(setting: NumberSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the prompt, where there is to be one; Pearson's r of the readings with the labels."""
    written = setting.answer == NUMBER
    in_strings = with_number_strings(task)  # refuses what is no regression, for the poles too
    asked = in_strings if written else task
    backbone = shared_backbone(setting.backbone)
    model = PromptedModel.for_task(backbone, asked, soft=setting.prompted)
    if setting.asked_as is not None:
        model = model.with_changes(template=setting.asked_as)
    prompt, loss = None, TARGET if written else CLASSES
    if setting.prompted:
        prompt = trained_prompt(setting, model, asked, seed, place, loss=loss)
    limit = place.limit or TEST_EXAMPLES[setting.profile]
    if written:
        examples = model.view_of(task).take("test", limit)
        values, unread = read_numbers(model, prompt, examples, task.range)
        labels = [example.label for example in examples]
    else:
        plain = evaluate(model, prompt, task, "test", limit=limit)
        values, labels, unread = plain.predictions, plain.targets, None
    return {
        "task": task.name,
        "method": "prompt" if setting.prompted else "no prompt",
        "answer": setting.answer,
        "loss_of": loss if setting.prompted else None,
        **asdict(setting.recipe),
        "template": model.template.text,
        **backbone.where(),
        "metric": "pearson",
        "value": pearson(values, labels),
        "ci95": list(pearson_interval(values, labels)),
        "n": len(labels),
        "majority": None,
        "unread": unread,
        "predictions": [round(float(value), 3) for value in values],
    }


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """What the number written gains over the two poles, prompt by prompt; over the prompts."""
    values = {(row["setting"], row["seed"]): row["value"] for row in rows}
    pooled = []
    for way in (NUMBER, LONGER):
        seeds = [seed for name, seed in values if name == way and (POLES, seed) in values]
        if len(seeds) < 2:
            continue
        gains = [values[way, seed] - values[POLES, seed] for seed in seeds]
        gain = mean_with_interval(gains)
        claim = f"{way}: correlates higher than the two poles, over {len(seeds)} prompts"
        line = {"setting": f"{way} − {POLES}", "prompts": len(seeds), "by_prompt": gains}
        pooled.append({**line, "mean_difference": list(gain), "verdict": verdict(claim, gain)})
    return pooled


def as_markdown(result: Mapping) -> str:
    """A line a row, with the share of answers that are no number; then the gain."""
    lines = report_head(result, ["answer", "seed", "n", "Pearson's r [95 %]", "no number"])
    for row in result["rows"]:
        score = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
        unread = "–" if row["unread"] is None else f"{row['unread']:.3f}"
        lines.append(cells([row["setting"], row["seed"], row["n"], score, unread]))
    pooled = result.get("pooled", ())
    lines += ["", *table_head(["what is compared", "prompts", "difference [95 % over prompts]"])]
    for line in pooled:
        lines.append(cells([line["setting"], line["prompts"], signed(line["mean_difference"])]))
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


def _settings(backbone: str | None, profile: str) -> list[NumberSetting]:
    name = backbone or ("google-t5/t5-base" if profile == "full" else "t5-titles")
    poles = NumberSetting(POLES, name, training_recipe(name, profile), profile=profile)
    number = replace(poles, name=NUMBER, answer=NUMBER)
    recipe = replace(number.recipe, steps=3 * number.recipe.steps)
    longer = replace(number, name=LONGER, recipe=recipe)
    bare = [
        replace(line, name=f"{line.name}, no prompt", prompted=False) for line in (poles, number)
    ]
    own_words = replace(bare[1], name=f"{bare[1].name}, T5's words", asked_as=T5_WORDS)
    return [poles, number, longer, *bare, own_words]


EXPERIMENTS = (
    Experiment(
        "number-strings",
        "STS-B read off two poles, and as the number that T5 writes, ours",
        _settings,
        number_row,
        report=as_markdown,
        tasks=dict.fromkeys(PROFILES, "stsb"),
        pool=pool,
        needs=(writes_text,),
    ),
)
