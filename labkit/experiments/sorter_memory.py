"""``sorter-memory``: how much of the order that it is given a sorter with positions hands back.

A table with a line "with position enhancement" shows what an order is worth, and not where it comes
from. Here several prompts are shuffled several times each, and the order that the sorter chooses is
held against the shuffle that it was given (Kendall's tau; 1: handed back as given, 0: a random
order) and against the order in which the prompt was trained. A prompt that did not learn is not
shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labkit.core.prompted_model import evaluate
from labkit.core.tasks import Task
from labkit.experiments import order
from labkit.experiments.base.recipe import recipe_for
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import Experiment, Place
from labkit.experiments.searches import LENGTH, course_prompt
from labkit.lstm_sorter import search
from labkit.shuffle_probe import Shuffle, discordant_share
from labkit.soft_prompt import SoftPrompt

BUDGET = 9_600
"""Forward passes of a row."""

PROMPT_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class MemorySetting(order.OrderSetting):
    """A prompt, by the seed that it was trained with; the seeds of the rows shuffle it."""

    prompt_seed: int = 0
    budget: int = BUDGET


def memory_row(setting: MemorySetting, task: Task, seed: int, place: Place) -> dict:
    """Sort one shuffle of a prompt; ``tau`` is Kendall's, of the order chosen and that shuffle."""
    model, prompt = course_prompt(setting, task, place, setting.prompt_seed)
    row = {
        "task": task.name,
        "method": "lstm",
        "positions": True,
        **model.backbone.where(),
        **order.at_gate(model, prompt, task),
    }
    if not row["learns"]:
        return row | scores_of(evaluate(model, prompt, task, limit=place.limit))
    vectors = model.fixed_vectors(prompt)
    (shuffle,) = Shuffle().draw(len(prompt), 1, seed=seed).tolist()
    result = search(
        model,
        SoftPrompt(vectors[shuffle]),
        task,
        "lstm",
        budget=setting.budget,
        seed=seed,
        positions=True,
        limit=place.limit,
        on_progress=lambda spent, budget: place.tell(spent, budget, f"{spent:,} forward passes"),
    )
    chosen = [shuffle[i] for i in result.order]
    return {
        **row,
        "shuffle": shuffle,
        "order": chosen,
        "is_permutation": result.is_permutation,
        "budget": setting.budget,
        "forward_passes": result.forward_passes,
        "before": result.before.value,
        "seconds": round(result.seconds, 1),
        **scores_of(result.after),
        "tau": _tau(result.order),
        "tau_trained": _tau(chosen),
    }


def _tau(order: Sequence[int]) -> float:
    """Kendall's tau of an order and the one that its numbers count from."""
    return float(1 - 2 * discordant_share(np.array([order]))[0])


def _settings(backbone: str | None, profile: str) -> list[MemorySetting]:
    name = backbone or "smollm2"
    first = MemorySetting(
        "prompt 0",
        name,
        recipe_for(name, profile, LENGTH),
        profile=profile,
        budget=BUDGET,
    )
    return [replace(first, name=f"prompt {seed}", prompt_seed=seed) for seed in PROMPT_SEEDS]


EXPERIMENTS = (
    Experiment(
        "sorter-memory",
        "how much of a shuffle the sorter with positions hands back, ours",
        _settings,
        memory_row,
    ),
)
