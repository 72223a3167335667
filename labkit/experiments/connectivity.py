"""Two seeds, one prompt? Prompts of different seeds on the line between them, matched and not.

A row is a pair of prompts, of seeds 2s and 2s + 1, and a third line that must come out as it does:
a prompt and itself in another order, which a matching undoes exactly. No prompt belongs to two
pairs, so that an interval over pairs is one over independent things. What is judged is how far the
inside of a line lies above its ends, on average and with its sign; how far it rises at most is
never below zero, and above it by noise alone. Beside it stands how far matching raises the line's
end: the second prompt is then in an order that it was not trained in, and a flat line to a worse
prompt says little. Forward passes only, with the prompts that `labkit.experiments.order_worth`
keeps. A pair of which one did not learn is shown, and not in the means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from labkit.core.prompted_model import PromptedModel
from labkit.core.statistics import mean_with_interval
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import classes
from labkit.experiments.base.rows import has_learned, learned
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import OrderSetting, at_gate, trained_prompt
from labkit.experiments.order_worth import GATE, ordinary_setting
from labkit.prompt_transfer.connectivity import (
    POINTS,
    barrier,
    deviation,
    losses_along,
    matched,
)
from labkit.shuffle_probe import Shuffle

SENTENCES = 128
LINES = {
    "as trained": "two seeds, token by token as trained",
    "matched": "two seeds, tokens matched",
    "itself": "a prompt and itself in another order",
    "itself, matched": "the same, tokens matched",
}
RAISED = "the second prompt's own loss, matched − as trained"


def pair_of(seed: int) -> tuple[int, int]:
    """The seeds of the prompts of row ``seed``; those of different rows have none in common."""
    return 2 * seed, 2 * seed + 1


def pair_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """The prompts of seeds 2s and 2s + 1 (``pair``), and the first against itself.

    ``losses`` are means along each line, from the first prompt on, in nats; ``value`` is the
    deviation between the two as trained, ``rises`` how far each line rises at most.
    """
    pair = pair_of(seed)
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompts = [trained_prompt(setting, model, task, s, place) for s in pair]
    gates = [at_gate(model, prompt, task, GATE) for prompt in prompts]
    first, second = map(model.fixed_vectors, prompts)
    (shuffled,) = Shuffle().draw(len(first), 1, seed)
    moved = first[torch.from_numpy(shuffled).to(first.device)]
    task = model.view_of(task)
    examples = task.take("test", place.limit or SENTENCES, seed=0)
    order = matched(first, second)
    ends = {
        "as trained": second,
        "matched": second[order],
        "itself": moved,
        "itself, matched": moved[matched(first, moved)],
    }
    losses = {}
    for done, (name, end) in enumerate(ends.items()):
        place.tell(done, len(ends), name)
        losses[name] = losses_along(model, first, end, task, examples)
    deviations = {name: deviation(along) for name, along in losses.items()}
    return {
        "task": task.name,
        "method": "connectivity",
        **asdict(setting.recipe),
        "pair": list(pair),
        "validation": [gate["validation"] for gate in gates],
        "validation_n": gates[0]["validation_n"],
        "learns": all(gate["learns"] for gate in gates),
        "n": len(examples),
        "points": list(POINTS),
        "losses": {name: along.mean(1).tolist() for name, along in losses.items()},
        "deviations": deviations,
        "rises": {name: barrier(along) for name, along in losses.items()},
        "value": deviations["as trained"],
        "own_place": float(np.mean(np.array(order) == np.arange(len(order)))),
        **model.backbone.where(),
    }


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """The mean deviation of each line over the pairs that learned, what matching takes of it, and
    how far it raises the end of the line."""
    rows = learned(rows)
    if len(rows) < 2:
        return []
    deviations = {name: np.array([row["deviations"][name] for row in rows]) for name in LINES}
    lines = {LINES[name]: values for name, values in deviations.items()}
    lines["what matching takes of it"] = deviations["as trained"] - deviations["matched"]
    lines[RAISED] = np.array(
        [row["losses"]["matched"][-1] - row["losses"]["as trained"][-1] for row in rows]
    )
    pooled = []
    for what, values in lines.items():
        mean = mean_with_interval(values)
        claim = f"{what}: above zero, over {len(rows)} pairs"
        pooled.append(
            {
                "what": what,
                "pairs": len(rows),
                "mean": list(mean),
                "verdict": verdict(claim, mean),
            }
        )
    return pooled


def as_markdown(result: Mapping) -> str:
    """Every pair's deviations, and the means over them."""
    lines = report_head(result, ("seeds", "n", *LINES.values(), "matched to its own place"))
    for row in result["rows"]:
        values = [f"{row['deviations'][name]:+.3f} ({row['rises'][name]:.3f})" for name in LINES]
        seeds = ", ".join(map(str, row["pair"]))
        if not has_learned(row):
            seeds += " (one does not learn: not in the means)"
        lines.append(cells([seeds, row["n"], *values, f"{row['own_place']:.2f}"]))
    lines += [
        "",
        "In nats: how far the loss lies above the straight line between the ends, on average over "
        "the inner points (at most). Matching moves the second prompt's tokens; where that makes "
        "it the worse prompt (last line), a flat line says little.",
        "",
        *table_head(["inside above the ends", "mean over pairs, nats [95 %]"]),
    ]
    pooled = result.get("pooled", ())
    lines += [cells([row["what"], signed(row["mean"])]) for row in pooled]
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


EXPERIMENTS = (
    Experiment(
        "connectivity",
        "prompts of two seeds on the line between them, tokens matched and not, ours",
        lambda backbone, profile: [ordinary_setting(backbone, profile)],
        pair_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes,),
    ),
)
