"""Rows about the order of virtual tokens (Liu, Cheng and Liu 2024, tables 1–6).

A row is one trained prompt, scored in its own order and in many others (`labkit.shuffle_probe`). A
prompt that beats the majority class on validation no further than its interval reaches is kept as a
row that says so and is not probed: nothing can be read off the order of a prompt that has learned
nothing. Another seed's may learn: each is a row of its own. What is trained or probed once is used
by every table that asks for it.

The sentences of the gate are those of validation, on which the checkpoint (and in Table 8 the rate)
was chosen: a prompt that knows nothing passes more often than the interval says, the more so the
smaller the split. What is reported of it is its score on test, which no choice has seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from labkit.audit.tables import printed as printed_table
from labkit.core.loading import has_bf16
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.sets import Positions
from labkit.core.statistics import Difference, difference_of_scores, flip_rate
from labkit.core.tasks import Task
from labkit.core.tuning import CLASSES, TRAINED, fit
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.kept import kept_prompt
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.rows import as_digits, from_digits, learned, own_matrix, scores_of
from labkit.experiments.base.setting import Place, Setting
from labkit.experiments.base.verdicts import verdict
from labkit.shuffle_probe import (
    NAMED,
    Orders,
    Probe,
    Shuffle,
    best_effect,
    mean_effect,
    probe_order,
    spread_by_factor,
)
from labkit.soft_prompt import SoftPrompt, initialise

TEST_EXAMPLES = {"small": 256, "full": 1_000_000}
"""Examples that an order is scored on: a fixed sample, or all that the split has."""

TRAINING_EXAMPLES = {"small": 2000, "full": None}
GATE_EXAMPLES = 500
"""Sample of validation on which a prompt has to beat the majority class to be probed."""

ALL_FREE = Shuffle()


@dataclass(frozen=True)
class OrderSetting(Setting):
    """A line whose prompt is trained, then scored in many orders.

    Attributes:
        shuffle, permutations: which orders, and how many of them; or those of a name in
            :data:`labkit.shuffle_probe.NAMED`.
        bos, positions: how the prompt is trained and used, as in `PromptedModel`.
        profile: small or full: how many examples.
    """

    shuffle: Shuffle = ALL_FREE
    permutations: int = 50
    named: str | None = None
    bos: str = "text"
    positions: Positions = True
    profile: str = "small"


def order_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the prompt (or take it where it is kept), pass the gate, score it in many orders."""
    backbone = shared_backbone(setting.backbone)
    model = PromptedModel.for_task(backbone, task)
    model = model.with_changes(bos=setting.bos, positions=setting.positions)
    prompt = trained_prompt(setting, model, task, seed, place)
    limit = place.limit or TEST_EXAMPLES[setting.profile]
    plain, scores = scored_behind_gate(model, prompt, task, limit)
    row = {
        "task": task.name,
        "method": "order",
        **asdict(setting.recipe),
        "shuffle": setting.named or str(setting.shuffle),
        "bos": setting.bos,
        "positions": setting.positions,
        "paper": setting.paper,
        **scores,
    }
    if not row["learns"]:
        return row
    if setting.positions:
        row |= read_without_positions(model, prompt, task, plain, limit)
    if setting.shuffle == ALL_FREE:
        row["noise_floor"] = _noise_floor(setting, model, prompt, task, plain)
    matrix = Path(f"{place.of_row(setting, seed)}.npz")
    probe = _probed(setting, model, prompt, task, seed, limit, place, matrix)
    row |= probe.summary()
    row["matrix"] = matrix.relative_to(place.out).as_posix()
    row["available"] = available_orders(setting)
    return judged(row)


def scored_behind_gate(
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    limit: int,
    gate_limit: int = GATE_EXAMPLES,
) -> tuple[Evaluation, dict]:
    """The prompt in its own order on test, and what a row says of it and of the gate."""
    gate = at_gate(model, prompt, task, gate_limit)
    plain = evaluate(model, prompt, task, "test", limit=limit)
    return plain, gate | model.backbone.where() | scores_of(plain)


def at_gate(
    model: PromptedModel, prompt: SoftPrompt, task: Task, limit: int = GATE_EXAMPLES
) -> dict:
    """What a row says of the gate: ``learns``, and the score on validation that decides it."""
    gate = evaluate(model, prompt, task, "validation", limit=limit)
    return {"validation": gate.value, "validation_n": gate.n, "learns": learns(gate)}


def trained_prompt(
    setting: OrderSetting,
    model: PromptedModel,
    task: Task,
    seed: int,
    place: Place,
    orders: str = TRAINED,
    loss: str = CLASSES,
) -> SoftPrompt:
    """The prompt of this recipe, trained once for all tables in ``place.out``; ``orders`` and
    ``loss`` as in :func:`~labkit.core.tuning.fit`."""
    recipe = setting.recipe
    limit = training_examples(setting, task)
    layout = {"bos": setting.bos, "positions": setting.positions}
    # left out otherwise: prompts from before there was a choice stay known
    if orders != TRAINED:
        layout["orders"] = orders
    if loss != CLASSES:
        layout["loss"] = loss
    digest = digest_of({**asdict(recipe), **layout, "limit": limit, "origin": place.origin})
    name = f"{short(setting.backbone)}-{task.name}-{recipe.length}-{digest[:8]}-seed{seed}"
    prompt = initialise(recipe.init, model.backbone, recipe.length, model.verbalizer, seed)

    def train(checkpoint: Path) -> dict:
        history = fit(
            model,
            prompt,
            task,
            recipe,
            seed=seed,
            limit=limit,
            orders=orders,
            loss=loss,
            checkpoint=checkpoint,
            resume=True,
            on_step=place.on_step(2 * recipe.steps),
        )
        return {"trained_steps": history.steps, "best_step": history.best_step}

    folder = place.out / "prompts" / name
    return kept_prompt(folder, place, model, prompt, train, seed=seed, digest=digest)[0]


def _probed(
    setting: OrderSetting,
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    seed: int,
    limit: int,
    place: Place,
    matrix: Path,
) -> Probe:
    """The probe, its matrix kept beside the result; a stopped one goes on where it was."""
    made_of = digest_of([asdict(setting), seed, limit, place.origin])
    work = matrix.with_name(f"{matrix.stem}-{made_of[:8]}.run")
    probe = probe_order(
        model,
        prompt,
        task,
        _drawn(setting, seed),
        limit=limit,
        out=work,
        resume=True,
        progress=lambda done, total: place.tell(total + done, 2 * total, f"order {done}"),
    )
    probe.save(matrix)
    shutil.rmtree(work)
    return probe


def _drawn(setting: OrderSetting, seed: int) -> Orders:
    length = setting.recipe.length
    if setting.named is not None:
        return NAMED[setting.named](length)
    return setting.shuffle.draw(length, setting.permutations, seed)


def available_orders(setting: OrderSetting) -> int:
    """How many orders there are besides the trained one."""
    if setting.named is not None:
        return len(_drawn(setting, 0))
    return setting.shuffle.available(setting.recipe.length)


def training_examples(setting: OrderSetting, task: Task) -> int | None:
    most = TRAINING_EXAMPLES[setting.profile]
    return None if most is None else min(most, len(task.split("train")))


def unread_examples(setting: OrderSetting, task: Task) -> int:
    """How many training examples a prompt is not trained on."""
    train = len(task.split("train"))
    limit = training_examples(setting, task)
    return 0 if limit is None else train - limit


def learns(gate: Evaluation) -> bool:
    return gate.ci95.low > (0.0 if gate.majority is None else gate.majority)


def against(plain: Evaluation, other: Evaluation) -> dict:
    """Another evaluation of the same prompt on the same examples, and its paired difference."""
    pair = (other.predictions[None], plain.predictions[None])
    difference = difference_of_scores(*pair, plain.targets, plain.metric)
    scores = {"value": other.value, "ci95": list(other.ci95), "difference": list(difference)}
    if plain.metric == "accuracy":
        flipped = flip_rate(other.predictions, plain.predictions)
        return scores | {"flip_rate": flipped, "correct": as_digits(other.correct)}
    return scores | {"predictions": [round(float(value), 4) for value in other.predictions]}


def read_without_positions(
    model: PromptedModel, prompt: SoftPrompt, task: Task, plain: Evaluation, limit: int
) -> dict:
    """The trained order read without positions, ``no_positions`` of a row; nothing where the model
    can't be read so."""
    without, _ = model.without_positions()
    if without is None:
        return {}
    bare = evaluate(without, prompt, task, "test", limit=limit)
    return {"no_positions": against(plain, bare)}


def _noise_floor(
    setting: OrderSetting, model: PromptedModel, prompt: SoftPrompt, task: Task, plain: Evaluation
) -> dict | None:
    """The trained order again in fp32 where it was scored in bf16: what rounding alone does."""
    if not has_bf16(model.backbone.device) or model.backbone.dtype == torch.float32:
        return None
    exact = model.with_changes(backbone=shared_backbone(setting.backbone, torch.float32))
    return against(plain, evaluate(exact, prompt, task, "test", limit=plain.n))


# ---- what rows say together ----


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each setting with two prompts or more: its differences over all of them.

    Only prompts that passed the gate count, and whose own matrix is there; those of different
    sentences are left apart. ``half_widths`` says how much of the mean effect's interval prompts,
    orders and sentences alone would make.
    """
    pooled = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        of_setting = [row for row in rows if row["setting"] == setting]
        probed = [
            (row, probe)
            for row in learned(of_setting)
            if "matrix" in row and (probe := own_matrix(row, out / row["matrix"])) is not None
        ]
        if len(probed) > 1 and same_sentences([probe for _, probe in probed]):
            pooled.append({"setting": setting, "rows": len(of_setting), **_over_prompts(probed)})
    return pooled


def same_sentences(probes: Sequence[Probe]) -> bool:
    """Whether probes were scored on one list of sentences."""
    return all(np.array_equal(probe.targets, probes[0].targets) for probe in probes)


def _over_prompts(probed: Sequence[tuple[Mapping, Probe]]) -> dict:
    """What rows of one setting say together: as in a row, differences and the claims about them."""
    rows, probes = [row for row, _ in probed], [probe for _, probe in probed]
    effect, best = mean_effect(probes), best_effect(probes)
    upwards = _paper_direction(rows[0]) > 0
    way = "above" if upwards else "below"
    over = f"over {len(probes)} prompts"
    line = {
        "prompts": len(probes),
        "orders": min(len(probe.orders) for probe in probes),
        "n": len(probes[0].targets),
        "scored_on": scored_on(rows),
        "baseline": float(np.mean([probe.baseline for probe in probes])),
        "mean_difference": list(effect),
        "half_widths": spread_by_factor(probes),
        "verdict": verdict(f"random orders score {way} the trained one, {over}", effect, upwards),
        "best_held_out": list(best),
        "other_verdicts": [verdict(f"the best order scores above the trained one, {over}", best)],
    }
    bare = [_without_positions(row, probe) for row, probe in probed]
    if None not in bare:
        fall = mean_effect(bare, factors=("prompts", "sentences"))
        claim = f"without positions the prompt scores lower, {over}"
        line["no_positions"] = list(fall)
        line["other_verdicts"].append(verdict(claim, fall, upwards=False))
    return line


def _without_positions(row: Mapping, probe: Probe) -> Probe | None:
    """The trained order read without positions, as a probe of that one "order"; None where the row
    does not say what was answered."""
    kept = row.get("no_positions", {})
    if "correct" in kept:
        right, trained = from_digits(kept["correct"]), probe.trained == probe.targets
        every = np.ones_like(probe.targets)
        answers = right[None].astype(int), trained.astype(int)
        return Probe(probe.orders[:1], *answers, every, "accuracy")
    if "predictions" in kept:
        bare = np.array(kept["predictions"])[None]
        return Probe(probe.orders[:1], bare, probe.trained, probe.targets, probe.metric)
    return None


def scored_on(rows: Sequence[Mapping]) -> list[str]:
    """Devices and precisions that rows were scored with: another one rounds otherwise."""
    parts = [[row[key] for key in ("device", "dtype") if key in row] for row in rows]
    return list(dict.fromkeys(" ".join(part) for part in parts if part))


# ---- what a row says ----


def relabel(row: Mapping, setting: OrderSetting) -> dict:
    """The same row in another table, whose paper may claim the opposite."""
    return judged({**row, "setting": setting.name, "paper": setting.paper})


def judged(row: Mapping) -> dict:
    """The row with the verdicts that its differences give; one that was not probed has none."""
    return {**row, "verdict": _verdicts(row)} if row["learns"] else {**row}


def _verdicts(row: Mapping) -> list[dict]:
    """The paper's claims about a row: each with a difference, its interval and what follows.

    The claim about "a random order" is decided for the orders that the row has: its interval is for
    other sentences. What other orders and prompts would give, the rows say together (:func:`pool`).
    """
    upwards = _paper_direction(row) > 0
    way = "above" if upwards else "below"
    claims = [(f"a random order scores {way} the trained one", row["mean_difference"], upwards)]
    claims.append(("the best order scores above the trained one", row["best_held_out"], True))
    if "no_positions" in row:
        lower = row["no_positions"]["difference"]
        claims.append(("without positions the prompt scores lower", lower, False))
    return [verdict(text, Difference(*ends), upwards) for text, ends, upwards in claims]


def _paper_direction(row: Mapping) -> int:
    """Sign of better − worse where the paper counts them for this row, else −1: mostly worse."""
    if row.get("paper") is None:
        return -1
    table, name = row["paper"].split(":", 1)
    (printed,) = (r for r in printed_table(int(table))["rows"] if row_name(r) == name)
    if "worse" not in printed:
        return -1
    return 1 if printed["better"] > printed["worse"] else -1


def row_name(printed: Mapping) -> str:
    """What the paper calls a row: its first column."""
    return str(next(iter(printed.values())))
