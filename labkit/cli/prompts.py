"""`labkit evaluate`, `tune` and `probe`: one prompt, trained, scored, and scored in many orders."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from labkit.cli.folders import RUN_FOLDER, check_takes_results, run_folder, writing
from labkit.cli.incomplete import incomplete_lines, probe_incomplete, read_design
from labkit.cli.options import (
    BackboneName,
    BatchTokens,
    Json,
    Length,
    LogFile,
    Seed,
    TaskName,
    TemplateLine,
    Words,
    command_line,
    held_to,
    model_for,
    opened,
    read_range,
    read_verbalizer,
)
from labkit.cli.output import as_row, score_lines, show, verb
from labkit.cli.progress import Update, progress
from labkit.core.errors import LabError

if TYPE_CHECKING:
    from torch import nn

    from labkit.core.prompted_model import PromptedModel
    from labkit.core.tasks import Task
    from labkit.shuffle_probe import Orders, Shuffle

app = typer.Typer()


@app.command()
def evaluate(
    backbone: BackboneName,
    task: TaskName,
    template: TemplateLine = None,
    verbalizer: Words = None,
    prompt: Annotated[Path | None, typer.Option(help="folder of a saved soft prompt")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="score a sample of that many")] = None,
    batch_tokens: BatchTokens = None,
    as_json: Json = False,
) -> None:
    """Score a hard prompt, or a saved soft prompt, with its 95 % interval."""
    with verb(as_json), held_to(batch_tokens), progress("scoring") as update:
        from labkit.core import prompted_model
        from labkit.core.loading import load_backbone
        from labkit.core.tasks import load_task
        from labkit.soft_prompt import load_for

        data = load_task(task)
        words = read_verbalizer(verbalizer)
        frozen = load_backbone(backbone)
        module, card = (None, None) if prompt is None else load_for(frozen, prompt)
        model = model_for(frozen, data, template, words, soft=prompt is not None, card=card)
        result = prompted_model.evaluate(model, module, data, split, limit=limit, progress=update)
    scores = as_row(result)
    lines = [frozen.describe(), f"template {model.template.text!r}", *score_lines(scores)]
    about = {"backbone": backbone, "task": data.name, "split": split, **frozen.where()}
    show({**scores, "seconds": result.seconds, **about}, lines, as_json)


@app.command()
def tune(
    backbone: BackboneName,
    task: TaskName,
    out: Annotated[
        Path, typer.Option(help="folder for the prompt; one that is finished is replaced")
    ],
    template: TemplateLine = None,
    verbalizer: Words = None,
    length: Length = 20,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    init: Annotated[str, typer.Option(help="uniform, vocab, labels or text:...")] = "vocab",
    encoder: Annotated[
        str | None, typer.Option(help="P-Tuning: lstm or mlp writes the virtual tokens")
    ] = None,
    order_proof: Annotated[
        bool, typer.Option("--order-proof", help="every step in a new order of the virtual tokens")
    ] = False,
    as_set: Annotated[
        bool, typer.Option("--as-set", help="virtual tokens as a set: alike in every order")
    ] = False,
    lr: Annotated[float | None, typer.Option(help="learning rate")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or adafactor")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, linear or cosine")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="steps until lr is reached")] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0)] = None,
    clip: Annotated[float | None, typer.Option(help="largest norm of the gradient")] = None,
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="train on a sample of that many")] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="steps between validations; the best one is kept")
    ] = None,
    validation_limit: Annotated[
        int | None, typer.Option(min=1, help="validate on a sample of that many")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="validations without a new best before stopping")
    ] = None,
    resume: Annotated[bool, typer.Option(help="go on with an interrupted run")] = False,
    batch_tokens: BatchTokens = None,
    log: LogFile = None,
    as_json: Json = False,
) -> None:
    """Train a soft prompt, score it on test, and save it in PEFT's format.

    What is not given follows the recipe for the backbone's readout.
    """
    again = "stopped; the same command with --resume goes on from the last saved step"
    with verb(as_json, again), held_to(batch_tokens), progress("preparing", log, out) as update:
        from labkit.core.loading import load_backbone
        from labkit.core.prompted_model import require_scorable
        from labkit.core.sets import SET
        from labkit.core.tasks import load_task
        from labkit.core.tuning import RANDOM, TRAINED
        from labkit.experiments import RECIPES
        from labkit.p_tuning import PromptEncoder
        from labkit.soft_prompt import initialise

        data = load_task(task)
        words = read_verbalizer(verbalizer)
        frozen = load_backbone(backbone)
        given = {
            "steps": steps,
            "batch_size": batch_size,
            "lr": lr,
            "optimizer": optimizer,
            "schedule": schedule,
            "warmup": warmup,
            "weight_decay": weight_decay,
            "clip": clip,
            "evaluate_every": evaluate_every,
            "validation_limit": validation_limit,
            "patience": patience,
        }
        recipe = RECIPES[frozen.readout].with_changes(
            {name: value for name, value in given.items() if value is not None}
        )
        # the recipe's own number does nothing either, but stands in every recorded command
        own_limit = RECIPES[frozen.readout].validation_limit
        if validation_limit not in (None, own_limit) and recipe.evaluate_every is None:
            raise LabError("--validation-limit needs --evaluate-every; give both")
        settings = {
            **recipe.training_fields(),
            "seed": seed,
            "limit": limit,
        }
        flags = {"order_proof": order_proof, "as_set": as_set}
        what = {"backbone": backbone, "task": task, "template": template, "verbalizer": verbalizer}
        command = command_line(
            "tune",
            {**what, "length": length, "init": init, "encoder": encoder, **settings, "out": out},
            flags,
        )
        settings["orders"] = RANDOM if order_proof else TRAINED
        model = model_for(frozen, data, template, words, soft=True)
        if as_set:
            model = model.with_changes(positions=SET)
        prompt = initialise(init, frozen, length, model.verbalizer, seed)
        if encoder is not None:
            prompt = PromptEncoder.from_prompt(prompt, encoder, seed=seed)
        require_scorable(model, prompt, data)
        made = _Made(command, frozen.revision, data.fingerprint(*data.splits))
        result = _finished(out, made, model) if resume else None
        if result is None:
            prompt, how = _train(model, prompt, data, settings, made, out, resume, update)
            result = _scored(model, prompt, data, how, command, out, seed, update)
    lines = [
        frozen.describe(),
        f"template {model.template.text!r}, {length} virtual tokens",
        f"{result['steps']} steps in {result['seconds']:.0f} s, kept step {result['best_step']}",
        *score_lines(result),
        *result["warnings"],
        f"saved in {out}",
    ]
    about = {"backbone": backbone, "task": data.name, "split": "test", **frozen.where()}
    show({**result, "out": str(out), "command": command, **about}, lines, as_json)


class _Made(NamedTuple):
    """What made a prompt: a command names folders of models and tasks, not what is in them."""

    command: str
    revision: str
    examples: str


def _train(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    settings: Mapping[str, Any],
    made: _Made,
    out: Path,
    resume: bool,
    update: Update,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train and save, or take what this command saved before it was stopped while scoring.

    Returns:
        The prompt, and how the training went.
    """
    from labkit.core.tuning import fit
    from labkit.soft_prompt import load_prompt, save_prompt

    command = made.command
    if resume and _is_made_by(out, made, model):
        saved, card = load_prompt(out)
        return saved, dict(card.scores)

    def on_step(done: int, loss: float, validation: float | None) -> None:
        update(done, settings["steps"], "training", loss=loss, validation=validation)

    with run_folder(out, command, resume) as run:
        history = fit(
            model, prompt, task, **settings, checkpoint=run, resume=resume, on_step=on_step
        )
        how = {
            "steps": history.steps,
            "best_step": history.best_step,
            "loss": history.losses[-1],
            "seconds": round(history.seconds, 2),
            "examples": made.examples,
        }
        with writing(out):  # before anything else can go wrong
            save_prompt(out, prompt, model, command=command, seed=settings["seed"], scores=how)
    return prompt, how


def _scored(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    how: Mapping[str, Any],
    command: str,
    out: Path,
    seed: int,
    update: Update,
) -> dict[str, Any]:
    """The scores on test, saved with the prompt."""
    from labkit.core.prompted_model import evaluate
    from labkit.soft_prompt import load_prompt, save_prompt

    update(0, None, "scoring on test")
    result = {**as_row(evaluate(model, prompt, task, "test", progress=update)), **how}
    with writing(out):
        folded = load_prompt(out)[1].folded_from  # one that is resumed is folded already
        warnings = save_prompt(
            out, prompt, model, command=command, seed=seed, scores=result, folded_from=folded
        )
    return {**result, "warnings": warnings}


def _is_made_by(out: Path, made: _Made, model: PromptedModel) -> bool:
    """Whether ``out`` holds the finished prompt of this command, used as the model is now: a task
    of the same name and examples may ask by another template or in other words."""
    from labkit.soft_prompt import CARD, load_prompt

    if (out / RUN_FOLDER).is_dir() or not (out / CARD).is_file():
        return False
    card = load_prompt(out)[1]
    examples = (card.scores or {}).get("examples", made.examples)  # earlier cards don't say
    if _Made(card.command, card.revision, str(examples)) != made:
        return False
    return card.model(model.backbone).layout() == model.layout()


def _finished(out: Path, made: _Made, model: PromptedModel) -> dict[str, Any] | None:
    """What `labkit tune` reported for the prompt in ``out``, if this command has made it."""
    from labkit.soft_prompt import load_prompt

    if not _is_made_by(out, made, model):
        return None
    scores = load_prompt(out)[1].scores
    return {**scores, "warnings": []} if "value" in scores else None


@app.command()
def probe(
    prompt: Annotated[Path, typer.Option(help="folder of a saved soft prompt")],
    backbone: Annotated[
        str | None, typer.Option(help="default: the one that the prompt was trained for")
    ] = None,
    task: Annotated[str | None, typer.Option(help="default: what it was trained on")] = None,
    permutations: Annotated[
        int | None, typer.Option(min=1, help="full: orders to score; default 200")
    ] = None,
    unit: Annotated[
        int | None, typer.Option(min=1, help="virtual tokens that stay together; default 1")
    ] = None,
    fixed: Annotated[
        str | None, typer.Option(help="first-last virtual token kept in place, such as 0-0")
    ] = None,
    orders: Annotated[
        str | None, typer.Option(help="instead: reversal, rotations or swaps")
    ] = None,
    design: Annotated[
        str, typer.Option(help="full, or incomplete: the mean effect from far fewer scorings")
    ] = "full",
    per_sentence: Annotated[
        int | None, typer.Option(min=1, help="incomplete: orders of a sentence; default 2")
    ] = None,
    per_order: Annotated[
        int | None, typer.Option(min=1, help="incomplete: sentences of an order; default 8")
    ] = None,
    no_positions: Annotated[
        bool, typer.Option("--no-positions", help="virtual tokens without positions")
    ] = False,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    limit: Annotated[int, typer.Option(min=8, help="examples to score each order on")] = 256,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="folder for the prediction matrix")] = None,
    resume: Annotated[bool, typer.Option(help="full: go on with a stopped probe in --out")] = False,
    batch_tokens: BatchTokens = None,
    log: LogFile = None,
    as_json: Json = False,
) -> None:
    """Score a prompt in many orders of its virtual tokens."""
    again = "stopped"
    if out is not None and design == "full":
        again += "; the same command with --resume keeps the orders that were scored"
    elif out is not None:
        again += "; of an incomplete design nothing is kept before all of it is scored: run the "
        again += "same command again"
    with verb(as_json, again), held_to(batch_tokens), progress("probing", log) as update:
        from labkit import shuffle_probe
        from labkit.core import prompted_model

        if resume and out is None:
            raise LabError("--resume needs the --out folder of the probe to continue")
        if out is not None:
            check_takes_results(out)
        of_the_matrix = {
            "--orders": orders,
            "--resume": resume or None,
            "--permutations": permutations,
        }
        sizes = read_design(design, per_sentence, per_order, of_the_matrix)
        drawing = {"--permutations": permutations, "--unit": unit, "--fixed": fixed}
        for name, value in drawing.items():
            if orders is not None and value is not None:
                raise LabError(f"{name} is for orders that are drawn; leave it out, or --orders")
        shuffle = shuffle_probe.Shuffle(unit or 1, read_range(fixed))
        model, module, data = opened(prompt, backbone, task)
        frozen = model.backbone
        about = {"backbone": frozen.name, "task": data.name, "split": split, **frozen.where()}
        bare, why_none = model.without_positions()
        if no_positions and bare is None:
            raise why_none
        scored = bare if no_positions else model
        if sizes is not None:
            summary = probe_incomplete(
                scored, module, data, shuffle, sizes, split, limit, seed, out, update
            )
            lines = incomplete_lines(summary, shuffle)
        else:
            chosen = _orders(shuffle, orders, len(module()), permutations or 200, seed)
            with writing(out) if out is not None else contextlib.nullcontext():
                result = shuffle_probe.probe_order(
                    scored,
                    module,
                    data,
                    chosen,
                    split,
                    limit=limit,
                    out=out,
                    resume=resume,
                    progress=update,
                )
            without = None
            if bare is not None:
                without = prompted_model.evaluate(bare, module, data, split, limit=limit).value
            summary = {**result.summary(), "no_positions": without}
            lines = _probe_lines(summary, shuffle, orders)
            if bare is None:
                lines.append(f"no row without positions: {why_none}")
    show({**summary, **about}, lines, as_json)


def _orders(
    shuffle: Shuffle, named: str | None, length: int, permutations: int, seed: int
) -> Orders:
    from labkit.shuffle_probe import NAMED

    if named is None:
        return shuffle.draw(length, permutations, seed)
    if named not in NAMED:
        raise LabError(f"--orders {named!r} is unknown; choose {', '.join(NAMED)}")
    return NAMED[named](length)


def _probe_lines(summary: Mapping[str, Any], shuffle: Shuffle, orders: str | None) -> list[str]:
    low, high = summary["ci95"]
    bare = summary["no_positions"]
    without = "" if bare is None else f", without positions {bare:.3f}"
    lines = [
        f"{summary['permutations']} orders: {orders or shuffle}",
        f"trained order   {summary['metric']} {summary['baseline']:.3f} [{low:.3f}, {high:.3f}] "
        f"(n = {summary['n']}){without}",
        f"other orders    worst {summary['worst']:.3f}, mean {summary['mean']:.3f}, best "
        f"{summary['best']:.3f}; {summary['worse']} worse, {summary['better']} better, "
        f"{summary['equal']} equal",
        "these orders minus trained     {:+.3f} [{:+.3f}, {:+.3f}] (interval: other "
        "sentences, these orders)".format(*summary["mean_difference"]),
        f"best order, where chosen {summary['best_chosen']:+.3f}, on the other half "
        "{:+.3f} [{:+.3f}, {:+.3f}]".format(*summary["best_held_out"]),
        "share of the variance between orders that is sampling noise: "
        f"{summary['noise_share']:.2f}",
    ]
    if "significant" in summary:
        beyond = summary["significant"]
        lines.append(
            f"beyond chance (McNemar, false-discovery rate 5 %): {beyond['worse']} worse, "
            f"{beyond['better']} better; {summary['flip_rate']:.1%} of the predictions flip"
        )
    return lines
