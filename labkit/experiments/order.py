"""Experiments about the order of virtual tokens: tables 1–6 of Liu, Cheng and Liu 2024.

A row is one trained prompt, scored in its own order and in many others (`labkit.shuffle_probe`). A
prompt that beats the majority class on validation no further than its interval reaches is kept as a
row that says so, with one seed, and is not probed: nothing can be read off the order of a prompt
that has learned nothing. What is trained or probed once is used by every table that asks for it.

The ``small`` profile takes the default models and fewer orders; ``full`` takes the paper's models,
sizes and numbers of orders, from the Hub, for a GPU.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from labkit.audit.tables import printed as printed_table
from labkit.core.loading import has_bf16
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.statistics import Difference, difference_of_scores, flip_rate
from labkit.core.tasks import Task
from labkit.core.tuning import fit
from labkit.experiments.grid import (
    Experiment,
    Place,
    Recipe,
    Setting,
    cells,
    file_name,
    report_head,
    short,
)
from labkit.experiments.training import LESTER, RECIPES, scores_of, shared_backbone
from labkit.shuffle_probe import NAMED, Orders, Probe, Shuffle, probe_order
from labkit.soft_prompt import SoftPrompt, initialise, load_prompt, save_prompt

TEST_EXAMPLES = {"small": 256, "full": 1_000_000}
"""Examples that an order is scored on: a fixed sample, or all that the split has."""

TRAINING_EXAMPLES = {"small": 2000, "full": None}
GATE_EXAMPLES = 500
"""Sample of validation on which a prompt has to beat the majority class to be probed."""

MASKED = replace(LESTER, init="vocab", lr=1e-2, optimizer="adam", schedule="linear", warmup=100)
"""The paper's masked language models: Adam, batch 32, the rate from its range 5e-5 … 1e-1."""

MODELS = {
    "google-bert/bert-base-uncased": ("Bert-base", 110e6),
    "google-bert/bert-large-uncased": ("Bert-large", 335e6),
    "google-t5/t5-base": ("T5-base", 223e6),
    "FacebookAI/roberta-base": ("RoBERTa-base", 125e6),
    "google-t5/t5-small": ("T5-small", 61e6),
    "google-t5/t5-large": ("T5-large", 738e6),
}
"""The paper's models: what its tables call them, and their parameters."""


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
    positions: bool = True
    profile: str = "small"


# ---- rows ----


def order_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the prompt (or take it where it is kept), pass the gate, score it in many orders."""
    prompt_name = _prompt_name(setting, task, seed)
    orders = setting.named or f"{setting.shuffle}-{setting.permutations}"
    probe_name = f"{prompt_name}-{orders}-{place.limit}"
    same = _same_probe(setting, probe_name, place)
    if same is not None:
        return same
    backbone = shared_backbone(setting.backbone)
    model = PromptedModel.for_task(backbone, task)
    model = model.with_changes(bos=setting.bos, positions=setting.positions)
    prompt = trained_prompt(setting, model, task, seed, place)
    gate = evaluate(model, prompt, task, "validation", limit=GATE_EXAMPLES)
    row = {
        "setting": setting.name,
        "seed": seed,
        "backbone": setting.backbone,
        "task": task.name,
        "method": "order",
        "probe": probe_name,
        **asdict(setting.recipe),
        "shuffle": setting.named or str(setting.shuffle),
        "bos": setting.bos,
        "positions": setting.positions,
        "paper": setting.paper,
        "validation": gate.value,
        "validation_n": gate.n,
        "learns": learns(gate),
        **backbone.where(),
    }
    limit = place.limit or TEST_EXAMPLES[setting.profile]
    plain = evaluate(model, prompt, task, "test", limit=limit)
    row |= scores_of(plain)
    if not row["learns"]:
        return row
    if setting.positions:
        without = model.with_changes(positions=False)
        row["no_positions"] = _against(plain, evaluate(without, prompt, task, "test", limit=limit))
    if setting.shuffle == ALL_FREE:
        row["noise_floor"] = _noise_floor(setting, model, prompt, task, plain)
    probe = _probed(setting, model, prompt, task, seed, limit, place)
    row |= probe.summary()
    row["available"] = _available(setting)
    row["verdict"] = _verdicts(row)
    return row


def trained_prompt(
    setting: OrderSetting, model: PromptedModel, task: Task, seed: int, place: Place
) -> SoftPrompt:
    """The prompt of this recipe, trained once for all tables in ``place.out``."""
    name = _prompt_name(setting, task, seed)
    kept = place.out / "prompts" / name
    if kept.is_dir():
        return load_prompt(kept)[0]
    recipe = setting.recipe
    prompt = initialise(recipe.init, model.backbone, recipe.length, model.verbalizer, seed)
    checkpoint = kept.with_name(f"{name}.run")
    fit(
        model,
        prompt,
        task,
        recipe,
        seed=seed,
        limit=training_examples(setting, task),
        checkpoint=checkpoint,
        resume=True,
        on_step=lambda step, loss, _: place.tell(step, 2 * recipe.steps, f"training {step}"),
    )
    save_prompt(kept, prompt, model, command=place.command, seed=seed)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return prompt


def _probed(
    setting: OrderSetting,
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    seed: int,
    limit: int,
    place: Place,
) -> Probe:
    """The probe, its matrix kept beside the result; a stopped one goes on where it was."""
    name = f"{file_name(setting.name)}-seed{seed}"
    work = place.folder / f"{name}.run"
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
    probe.save(place.folder / f"{name}.npz")
    shutil.rmtree(work)
    return probe


def _drawn(setting: OrderSetting, seed: int) -> Orders:
    length = setting.recipe.length
    if setting.named is not None:
        return NAMED[setting.named](length)
    return setting.shuffle.draw(length, setting.permutations, seed)


def _available(setting: OrderSetting) -> int:
    if setting.named is not None:
        return len(_drawn(setting, 0))
    return setting.shuffle.available(setting.recipe.length)


def _prompt_name(setting: OrderSetting, task: Task, seed: int) -> str:
    """One name per trained prompt: what is trained the same has the same one."""
    how = {**asdict(setting.recipe), "bos": setting.bos, "positions": setting.positions}
    how["limit"] = training_examples(setting, task)
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:8]
    length = setting.recipe.length
    return f"{short(setting.backbone)}-{task.name}-{length}-{digest}-seed{seed}"


def training_examples(setting: OrderSetting, task: Task) -> int | None:
    most = TRAINING_EXAMPLES[setting.profile]
    return None if most is None else min(most, len(task.split("train")))


def _same_probe(setting: OrderSetting, name: str, place: Place) -> dict | None:
    """A finished row of another table in ``out`` that scored the same prompt in the same orders."""
    for file in sorted(place.out.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            if row.get("probe") == name:
                row = {**row, "setting": setting.name, "paper": setting.paper}
                return row | ({"verdict": _verdicts(row)} if row["learns"] else {})
    return None


def learns(gate: Evaluation) -> bool:
    return gate.ci95.low > (0.0 if gate.majority is None else gate.majority)


def _against(plain: Evaluation, other: Evaluation) -> dict:
    """Another evaluation of the same prompt on the same examples, and its paired difference."""
    pair = (other.predictions[None], plain.predictions[None])
    difference = difference_of_scores(*pair, plain.targets, plain.metric)
    told = {"value": other.value, "ci95": list(other.ci95), "difference": list(difference)}
    if plain.metric == "accuracy":
        told["flip_rate"] = flip_rate(other.predictions, plain.predictions)
    return told


def _noise_floor(
    setting: OrderSetting, model: PromptedModel, prompt: SoftPrompt, task: Task, plain: Evaluation
) -> dict | None:
    """The trained order again in fp32 where it was scored in bf16: what rounding alone does."""
    if not has_bf16(model.backbone.device) or model.backbone.dtype == torch.float32:
        return None
    exact = model.with_changes(backbone=shared_backbone(setting.backbone, torch.float32))
    return _against(plain, evaluate(exact, prompt, task, "test", limit=plain.n))


# ---- what a row says ----


def _verdicts(row: Mapping) -> list[dict]:
    """The paper's claims about a row: each with a difference, its interval and what follows."""
    upwards = _paper_direction(row) > 0
    way = "above" if upwards else "below"
    claims = [(f"a random order scores {way} the trained one", row["mean_difference"], upwards)]
    claims.append(("the best order scores above the trained one", row["best_held_out"], True))
    if "no_positions" in row:
        lower = row["no_positions"]["difference"]
        claims.append(("without positions the prompt scores lower", lower, False))
    return [_verdict(text, Difference(*found), upwards) for text, found, upwards in claims]


def _verdict(claim: str, found: Difference, upwards: bool) -> dict:
    low, high = (found.low, found.high) if upwards else (-found.high, -found.low)
    said = "agrees" if low > 0 else "disagrees" if high < 0 else "can't tell"
    return {
        "claim": claim,
        "difference": found.value,
        "ci95": [found.low, found.high],
        "verdict": said,
    }


def _paper_direction(row: Mapping) -> int:
    """Sign of better − worse where the paper counts them for this row, else −1: mostly worse."""
    if row.get("paper") is None:
        return -1
    table, name = row["paper"].split(":", 1)
    (printed,) = (r for r in printed_table(int(table))["rows"] if _row_name(r) == name)
    if "worse" not in printed:
        return -1
    return 1 if printed["better"] > printed["worse"] else -1


def _row_name(printed: Mapping) -> str:
    """What the paper calls a row: its first column."""
    return str(next(iter(printed.values())))


HEADINGS = (
    "setting", "seed", "n", "orders", "baseline [95 %]", "without positions", "worst", "best",
    "worse", "better", "equal", "beyond chance: worse, better", "predictions flipped",
    "random order − trained [95 %]", "best, held out [95 %]", "variance from sampling",
)  # fmt: skip
COLUMNS = ("baseline", "no_positions", "worst", "best", "worse", "better", "equal")


def as_markdown(result: Mapping) -> str:
    """The table in the paper's shape, its own rows below, and the verdicts."""
    lines = report_head(result, HEADINGS)
    lines += [_line(row) for row in result["rows"]]
    lines += _paper_lines(result)
    lines += ["", "## Verdicts", ""]
    for row in result["rows"]:
        for verdict in row.get("verdict", ()):
            signed = _signed([verdict["difference"], *verdict["ci95"]])
            lines.append(
                f"- {row['setting']}, seed {row['seed']}: {verdict['claim']}: {signed}: "
                f"{verdict['verdict']}"
            )
    return "\n".join(lines) + "\n"


def _line(row: Mapping) -> str:
    interval = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
    if not row["learns"]:
        blind = "" if row["majority"] is None else f", majority class {row['majority']:.3f}"
        start = [row["setting"], row["seed"], row["n"], 0, interval]
        return cells([*start, f"does not learn{blind}", *[""] * 10])
    beyond = row.get("significant")
    no_positions = row.get("no_positions")
    return cells(
        [
            row["setting"],
            row["seed"],
            row["n"],
            _orders(row),
            interval,
            "–" if no_positions is None else f"{no_positions['value']:.3f}",
            *(f"{row[k]:.3f}" for k in ("worst", "best")),
            *(row[k] for k in ("worse", "better", "equal")),
            "–" if beyond is None else f"{beyond['worse']}, {beyond['better']}",
            f"{row['flip_rate']:.3f}" if "flip_rate" in row else "–",
            _signed(row["mean_difference"]),
            _signed(row["best_held_out"]),
            f"{row['noise_share']:.2f}",
        ]
    )


def _orders(row: Mapping) -> str:
    every = row["permutations"] == row["available"]
    return f"{row['permutations']} (all there are)" if every else str(row["permutations"])


def _signed(values: Sequence[float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*values)


def _paper_lines(result: Mapping) -> list[str]:
    """The printed table, in per cent as printed."""
    number = result["name"].removeprefix("table")
    if not number.isdecimal():
        return []
    table = printed_table(int(number))
    rows = [["paper", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for row in table["rows"]:
        rows.append([_row_name(row), *(row.get(column, "–") for column in COLUMNS)])
    return ["", f"The paper's own rows (per cent; {table['title']}):", "", *map(cells, rows)]


# ---- the tables ----


def _names(backbone: str | None, profile: str, full: Sequence[str]) -> list[str]:
    if backbone is not None:
        return backbone.split(",")
    return list(full) if profile == "full" else ["minilm", "smollm2"]


def recipe_for(name: str, profile: str, length: int) -> Recipe:
    if profile == "full":
        return replace(LESTER if "t5" in name.lower() else MASKED, length=length)
    return replace(RECIPES[shared_backbone(name).readout], length=length)


def _setting(label: str, name: str, profile: str, length: int, **more: object) -> OrderSetting:
    return OrderSetting(label, name, recipe_for(name, profile, length), profile=profile, **more)


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
            make(f"{label}, BOS in front", permutations=few, bos="first"),
        ]
    return settings


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
    parameters = MODELS.get(setting.backbone, (None, 0.0))[1] or sum(
        p.numel() for p in shared_backbone(setting.backbone).model.parameters()
    )
    recipe, tokens = setting.recipe, setting.recipe.length + PIECES
    examples = min(TEST_EXAMPLES[setting.profile], len(task.split("test")))
    trained = 2 * recipe.steps * recipe.batch_size
    probed = setting.permutations * examples
    return 2.0 * parameters * tokens * (trained + probed)


_SMALL_AND_FULL = {"small": "rt-polarity", "full": "sst2"}
_STSB = {"small": "rt-polarity", "full": "stsb"}


def _table(number: int, about: str, settings, tasks: Mapping[str, str]) -> Experiment:
    return _about_order(f"table{number}", about, settings, tasks)


def _about_order(name: str, about: str, settings, tasks: Mapping[str, str]) -> Experiment:
    return Experiment(
        name, about, settings, order_row, report=as_markdown, work=_arithmetic, tasks=tasks
    )


EXPERIMENTS = (
    _table(1, "order sensitivity of different models", _models, _SMALL_AND_FULL),
    _table(2, "blocks of virtual tokens change places", _blocks, _SMALL_AND_FULL),
    _table(3, "a part of the prompt is kept in place", _fixed_parts, _SMALL_AND_FULL),
    _table(4, "order sensitivity on different tasks", _tasks, _STSB),
    _table(5, "order sensitivity of prompts of different length", _lengths, _STSB),
    _table(6, "order sensitivity of models of different size", _sizes, _STSB),
    _about_order("swaps", "every two virtual tokens change places, ours", _swaps, _SMALL_AND_FULL),
)
