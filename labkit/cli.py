"""The command line: `labkit VERB`, the same as `python -m labkit VERB`.

Each verb parses its options, calls one function of the package and prints what it returns. With
``--json`` standard output carries one JSON object and nothing else; progress goes to standard error
where that is a terminal. A wrong input ends in one line, ``error: ...``, and exit code 2.

torch and transformers are imported inside the verbs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.core.errors import LabError

if TYPE_CHECKING:
    from labkit.core.backbones import Backbone
    from labkit.core.engines import Engine
    from labkit.core.prompted_model import Evaluation, PromptedModel
    from labkit.core.tasks import Task
    from labkit.shuffle_probe import Orders, Shuffle
    from labkit.soft_prompt import PromptCard, SoftPrompt

WRONG_INPUT, INTERRUPTED = 2, 130
RUN_FOLDER = ".run"
"""Inside the folder of a prompt that is being trained: the state to resume from."""

Update = Callable[..., None]
"""Called with (done, total, text): moves the progress bar."""

app = typer.Typer(
    help="Soft Prompt Lab: hard and soft prompts on frozen language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
assets_app = typer.Typer(help="The default models and data, fetched once.")
bench_app = typer.Typer(help="labkit against PEFT: same model, texts and prompt, in one run.")
app.add_typer(assets_app, name="assets")
app.add_typer(bench_app, name="bench")
assignments_app = typer.Typer(help="The students' skeletons, made from notebooks/.")
app.add_typer(assignments_app, name="assignments")
transfer_app = typer.Typer(help="Prompts compared, and used on other tasks.")
app.add_typer(transfer_app, name="transfer")

BackboneName = Annotated[
    str, typer.Option("--backbone", help="smollm2, minilm, a Hub id, or a folder")
]
TaskName = Annotated[
    str, typer.Option("--task", help="rt-polarity, sst2, ..., or a folder with train.jsonl")
]
TemplateLine = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="such as '{soft}{text} It was {mask}'; \\n is a new line. Default: the task's own",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(
        "--verbalizer",
        help="label words, as 'negative=terrible|awful,positive=great'. Default: the task's own",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Names = Annotated[list[str] | None, typer.Argument(help="default: all of them")]
CourseFolder = Annotated[Path, typer.Option("--root", help="the course's folder")]
Length = Annotated[int, typer.Option("--length", min=1, help="virtual tokens")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # typer brings its own copy of click, so the class is reached through typer's
    usage_error = typer.BadParameter.__base__
    try:
        code = app(given or ["--help"], prog_name="labkit", standalone_mode=False)
    except usage_error as error:
        _complain(f"error: {error.format_message()} (see `labkit {_verb_of(given)}--help`)")
        code = WRONG_INPUT
    sys.exit(code or 0)


# ---- verbs ----


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check packages, device, assets, network, disk and Jupyter; say how to fix what is wrong."""
    with _verb(as_json):
        from labkit.doctor import examine

        checks = examine()
    ok = all(check.ok for check in checks)
    lines = [f"[{'ok' if c.ok else 'fail'}] {c.name}: {c.found}" + c.advice() for c in checks]
    _show({"ok": ok, "checks": [check._asdict() for check in checks]}, lines, as_json)
    raise typer.Exit(0 if ok else 1)


@assets_app.command("fetch")
def assets_fetch(names: Names = None, as_json: Json = False) -> None:
    """Bring what is missing or damaged; an interrupted download goes on where it stopped."""
    again = "stopped; `labkit assets fetch` goes on from there"
    with _verb(as_json, again), _progress("fetching") as update:
        from labkit.core import assets

        assets.fetch(names, lambda what, done, total: update(done, total, what))
        states = assets.verify(names)
    _show_assets(states, as_json)


@assets_app.command("verify")
def assets_verify(names: Names = None, as_json: Json = False) -> None:
    """Compare the checksums of what is in the cache; exit code 1 if something is not whole."""
    with _verb(as_json):
        from labkit.core import assets

        states = assets.verify(names)
    _show_assets(states, as_json)
    raise typer.Exit(0 if set(states.values()) == {"ok"} else 1)


@assets_app.command("list")
def assets_list(as_json: Json = False) -> None:
    """Name the default models and data, with size, licence and whether they are here."""
    with _verb(as_json):
        from labkit.core import assets

        known = assets.ASSETS.values()
        states = {a.name: "fetched" if assets.is_ready(a) else "missing" for a in known}
    _show_assets(states, as_json)


@app.command()
def evaluate(
    backbone: BackboneName,
    task: TaskName,
    template: TemplateLine = None,
    verbalizer: Words = None,
    prompt: Annotated[Path | None, typer.Option(help="folder of a saved soft prompt")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="score a sample of that many")] = None,
    as_json: Json = False,
) -> None:
    """Score a hard prompt, or a saved soft prompt, with its 95 % interval."""
    with _verb(as_json), _progress("scoring") as update:
        from labkit.core import prompted_model
        from labkit.core.backbones import load_backbone
        from labkit.core.tasks import load_task
        from labkit.soft_prompt import load_for

        data = load_task(task)
        words = read_verbalizer(verbalizer)
        frozen = load_backbone(backbone)
        module, card = (None, None) if prompt is None else load_for(frozen, prompt)
        model = _model(frozen, data, template, words, soft=prompt is not None, card=card)
        result = prompted_model.evaluate(model, module, data, split, limit=limit, progress=update)
    scores = _scores(result)
    lines = [frozen.describe(), f"template {model.template.text!r}", *_lines(scores)]
    about = {"backbone": backbone, "task": data.name, "split": split, **_device(frozen)}
    _show({**scores, "seconds": result.seconds, **about}, lines, as_json)


@app.command()
def tune(
    backbone: BackboneName,
    task: TaskName,
    out: Annotated[Path, typer.Option(help="folder for the prompt")],
    template: TemplateLine = None,
    verbalizer: Words = None,
    length: Length = 20,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    init: Annotated[str, typer.Option(help="uniform, vocab, labels or text:...")] = "vocab",
    encoder: Annotated[
        str | None, typer.Option(help="P-Tuning: lstm or mlp writes the virtual tokens")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or adafactor")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, linear or cosine")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="steps until lr is reached")] = None,
    clip: Annotated[float | None, typer.Option(help="largest norm of the gradient")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="train on a sample of that many")] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="steps between validations; the best one is kept")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="validations without a new best before stopping")
    ] = None,
    resume: Annotated[bool, typer.Option(help="go on with an interrupted run")] = False,
    as_json: Json = False,
) -> None:
    """Train a soft prompt, score it on test, and save it in PEFT's format.

    What is not given follows the recipe for the backbone's readout.
    """
    again = "stopped; the same command with --resume goes on from the last saved step"
    with _verb(as_json, again), _progress("preparing") as update:
        from labkit.core.backbones import load_backbone
        from labkit.core.tasks import load_task
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
            "clip": clip,
            "evaluate_every": evaluate_every,
        }
        settings = {
            **RECIPES[frozen.readout].fit_options(),
            **{name: value for name, value in given.items() if value is not None},
            "seed": seed,
            "limit": limit,
            "patience": patience,
        }
        what = {"backbone": backbone, "task": task, "template": template, "verbalizer": verbalizer}
        command = command_line(
            "tune",
            {**what, "length": length, "init": init, "encoder": encoder, **settings, "out": out},
        )
        model = _model(frozen, data, template, words, soft=True)
        prompt = initialise(init, frozen, length, model.verbalizer, seed)
        if encoder is not None:
            prompt = PromptEncoder.from_prompt(prompt, encoder, seed=seed)
        result = _finished(out, command) if resume else None
        if result is None:
            result = _train(model, prompt, data, settings, command, out, resume, update)
    lines = [
        frozen.describe(),
        f"template {model.template.text!r}, {length} virtual tokens",
        f"{result['steps']} steps in {result['seconds']:.0f} s, kept step {result['best_step']}",
        *_lines(result),
        *result["warnings"],
        f"saved in {out}",
    ]
    about = {"backbone": backbone, "task": data.name, "split": "test", **_device(frozen)}
    _show({**result, "out": str(out), "command": command, **about}, lines, as_json)


@app.command()
def probe(
    prompt: Annotated[Path, typer.Option(help="folder of a saved soft prompt")],
    backbone: Annotated[
        str | None, typer.Option(help="default: the one that the prompt was trained for")
    ] = None,
    task: TaskName = "rt-polarity",
    permutations: Annotated[int, typer.Option(min=1, help="orders to score")] = 200,
    unit: Annotated[int, typer.Option(min=1, help="virtual tokens that stay together")] = 1,
    fixed: Annotated[
        str | None, typer.Option(help="first-last virtual token kept in place, such as 0-0")
    ] = None,
    orders: Annotated[
        str | None, typer.Option(help="instead: reversal, rotations or swaps")
    ] = None,
    no_positions: Annotated[
        bool, typer.Option("--no-positions", help="virtual tokens without positions")
    ] = False,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    limit: Annotated[int, typer.Option(min=8, help="examples to score each order on")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="of the orders")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder for the prediction matrix")] = None,
    resume: Annotated[bool, typer.Option(help="go on with a stopped probe in --out")] = False,
    as_json: Json = False,
) -> None:
    """Score a prompt in many orders of its virtual tokens."""
    again = "stopped"
    if out is not None:
        again += "; the same command with --resume keeps the orders that were scored"
    with _verb(as_json, again), _progress("probing") as update:
        from labkit import shuffle_probe
        from labkit.core import prompted_model
        from labkit.core.backbones import load_backbone
        from labkit.core.tasks import load_task
        from labkit.soft_prompt import load_for, load_prompt

        if resume and out is None:
            raise LabError("--resume needs the --out folder of the probe to continue")
        shuffle = shuffle_probe.Shuffle(unit, read_range(fixed))
        card = load_prompt(prompt)[1]
        if backbone is None and card is None:
            raise LabError(f"{prompt} does not say its backbone; name it with --backbone")
        data = load_task(task)
        frozen = load_backbone(backbone or card.backbone)
        module, card = load_for(frozen, prompt)
        model = _model(frozen, data, None, None, soft=True, card=card)
        chosen = _orders(shuffle, orders, len(module()), permutations, seed)
        bare = model.with_changes(positions=False)
        with _writing(out) if out is not None else contextlib.nullcontext():
            result = shuffle_probe.probe_order(
                bare if no_positions else model,
                module,
                data,
                chosen,
                split,
                limit=limit,
                out=out,
                resume=resume,
                progress=update,
            )
        without = prompted_model.evaluate(bare, module, data, split, limit=limit)
    told = {**result.summary(), "no_positions": without.value}
    about = {"backbone": frozen.name, "task": data.name, "split": split, **_device(frozen)}
    _show({**told, **about}, _probe_lines(told, shuffle, orders), as_json)


@app.command()
def sort(
    prompt: Annotated[Path, typer.Option(help="folder of a saved soft prompt")],
    out: Annotated[Path, typer.Option(help="folder for the sorted prompt")],
    method: Annotated[
        str, typer.Option(help="swap, lstm, lstm-printed, lstm-taught, random or sinkhorn")
    ] = "swap",
    positions: Annotated[
        bool, typer.Option("--positions", help="position enhancement for the lstm sorter")
    ] = False,
    budget: Annotated[
        int | None, typer.Option(min=1, help="sentences through the model; default: 57,600")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    backbone: Annotated[str | None, typer.Option(help="default: the prompt's own")] = None,
    task: Annotated[str | None, typer.Option(help="default: what it was trained on")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="report on a sample of that many")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for a better order of a prompt's virtual tokens: chosen on train, reported on test."""
    with _verb(as_json), _progress("sorting") as update:
        from labkit import lstm_sorter
        from labkit.core.backbones import load_backbone
        from labkit.core.tasks import load_task
        from labkit.soft_prompt import SoftPrompt, load_for, load_prompt, save_prompt

        _, card = load_prompt(prompt)
        if out.resolve() == prompt.resolve():
            raise LabError(f"--out {out} is the prompt to be sorted; choose another folder")
        _check_replaceable(out)
        _check_writable(out)
        backbone = backbone or (card and card.backbone)
        task = task or (card and _trained_on(card))
        if not backbone or not task:
            raise LabError(
                f"{prompt} does not say its backbone and task; name them with --backbone and --task"
            )
        data = load_task(task)
        frozen = load_backbone(backbone)
        module, card = load_for(frozen, prompt)
        model = _model(frozen, data, None, None, soft=True, card=card)
        settings = {
            "method": method,
            "budget": lstm_sorter.BUDGET if budget is None else budget,
            "seed": seed,
            "positions": positions,
            "limit": limit,
        }
        result = lstm_sorter.search(model, module, data, **settings, on_progress=update)
        scores = {
            "before": result.before.value,
            "after": result.after.value,
            "order": list(result.order),
            "is_permutation": result.is_permutation,
            "forward_passes": result.forward_passes,
            "seconds": round(result.seconds, 2),
            "loss_before": result.found.loss_before,
            "loss": result.found.loss,
        }
        what = {"prompt": prompt, "backbone": backbone, "task": task, **settings}
        flags = " --positions" if what.pop("positions") else ""
        command = command_line("sort", {**what, "out": out}) + flags
        ordered = SoftPrompt(module().detach()[scores["order"]])
        with _writing(out):
            warnings = save_prompt(out, ordered, model, command=command, seed=seed, scores=scores)
    lines = [
        frozen.describe(),
        f"before {result.before}",
        f"after  {result.after}",
        f"loss on training sentences {scores['loss_before']:.3f} → {scores['loss']:.3f}, "
        f"{scores['forward_passes']:,} forward passes, {scores['seconds']:.0f} s",
        f"order {' '.join(map(str, scores['order']))}",
        *([] if result.is_permutation else ["not a permutation: virtual tokens repeat"]),
        *warnings,
        f"saved in {out}",
    ]
    about = {"metric": result.after.metric, "ci95": list(result.after.ci95), "n": result.after.n}
    _show(
        {**scores, **about, "method": method, "out": str(out), "command": command}, lines, as_json
    )


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="an experiment; a wrong name lists them all")],
    profile: Annotated[
        str | None, typer.Option(help="small or full; default: LABKIT_PROFILE, else small")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="instead of the experiment's own")] = None,
    task: Annotated[str | None, typer.Option(help="instead of the experiment's own")] = None,
    seeds: Annotated[str | None, typer.Option(help="such as 0,1,2")] = None,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results"),
    resume: Annotated[bool, typer.Option(help="keep the finished rows, run the others")] = False,
    engine: Annotated[str, typer.Option(help="local, or ray for a cluster")] = "local",
    address: Annotated[str | None, typer.Option(help="of a running Ray cluster")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="rows at once; default: what this machine has room for"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="threads of a row; default: the cores shared out")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of a row on the cluster")] = 0.0,
    as_json: Json = False,
) -> None:
    """Run a named experiment: a table of the paper, row by row."""
    again = "stopped; the same command with --resume keeps the finished rows and runs the others"
    with _verb(as_json, again), _progress(name) as update:
        chosen = {} if seeds is None else {"seeds": read_seeds(seeds)}
        _check_writable(out)
        from labkit import experiments
        from labkit.core import assets
        from labkit.course.plots import result_figure

        size = _profile(profile) or assets.profile()
        if size == "full":
            estimate = experiments.estimate(name, backbone=backbone, task=task, **chosen)
            _complain(estimate)
        with _writing(out):
            result = experiments.run(
                name,
                profile=size,
                backbone=backbone,
                task=task,
                out=out,
                resume=resume,
                on_progress=update,
                engine=_engine(engine, address, workers, threads, gpus),
                **chosen,
            )
            figure = result_figure(result)
            if figure is not None:
                (out / f"{result['file']}.png").write_bytes(figure.png())
        table = experiments.markdown(result)
    _show(result, [table.rstrip(), "", f"in {out}"], as_json)


@app.command()
def audit(as_json: Json = False) -> None:
    """Compute what in the paper's own tables, text and equations does not add up."""
    with _verb(as_json):
        from labkit.course import paper

        findings = paper.audit()
    _show({"findings": [asdict(f) for f in findings]}, paper.as_lines(findings), as_json)


@transfer_app.command("similarity")
def transfer_similarity(
    files: Annotated[list[Path], typer.Argument(help="folders, .safetensors, .npz, .npy, .pt")],
    metric: Annotated[
        str,
        typer.Option(
            help="cosine-mean, cosine-pairs, cosine-concat, euclidean, euclidean-mean, "
            "euclidean-pairs or neurons"
        ),
    ] = "cosine-mean",
    backbone: Annotated[str | None, typer.Option(help="for neurons: the prompts' model")] = None,
    as_json: Json = False,
) -> None:
    """How alike saved prompts are; higher is more alike."""
    with _verb(as_json):
        from labkit import prompt_transfer
        from labkit.core.backbones import load_backbone

        prompts = [prompt_transfer.read_prompt(file) for file in files]
        if metric == "neurons" and backbone is None:
            raise LabError("--metric neurons runs the model; name it with --backbone")
        frozen = None if backbone is None else load_backbone(backbone)
        matrix = prompt_transfer.similarities(prompts, metric, frozen)
    names = [file.name if file.is_dir() else file.stem for file in files]
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}  " + "  ".join(f"{value:6.3f}" for value in row)
        for name, row in zip(names, matrix, strict=True)
    ]
    _show({"names": names, "metric": metric, "matrix": matrix.tolist()}, lines, as_json)


@transfer_app.command("matrix")
def transfer_matrix(
    backbone: Annotated[
        str, typer.Option(help="smollm2, minilm, a Hub id, or a folder")
    ] = "minilm",
    seeds: Annotated[str, typer.Option(help="such as 0,1,2")] = "0,1,2",
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results"),
    resume: Annotated[bool, typer.Option(help="keep the finished rows, run the others")] = False,
    as_json: Json = False,
) -> None:
    """Every source's prompt on every target, zero-shot; the same as `labkit run transfer`."""
    again = "stopped; the same command with --resume keeps the finished rows and runs the others"
    with _verb(as_json, again), _progress("transfer") as update:
        chosen = read_seeds(seeds)
        _check_writable(out)
        from labkit import experiments
        from labkit.core import assets
        from labkit.experiments import transfer

        with _writing(out):
            result = experiments.run(
                "transfer",
                profile=assets.profile(),
                backbone=backbone,
                seeds=chosen,
                out=out,
                resume=resume,
                on_progress=update,
            )
        table = transfer.table(result)
        lines = experiments.markdown(result).rstrip().splitlines()
    told = {
        "sources": list(table.sources),
        "targets": list(table.targets),
        "seeds": list(table.seeds),
        "values": table.values.tolist(),
        "seen": table.seen.tolist(),
        "controls": {name: values.tolist() for name, values in table.controls.items()},
        "majority": table.majority.tolist(),
        "file": result["file"],
    }
    _show(told, [*lines, "", f"in {out}"], as_json)


@transfer_app.command("retrieve")
def transfer_retrieve(
    task: TaskName,
    library: Annotated[Path, typer.Option(help="folder of saved prompts, one folder each")],
    out: Annotated[Path, typer.Option(help="folder for the start")],
    backbone: BackboneName = "minilm",
    strategy: Annotated[str, typer.Option(help="best, or average (weighted by likeness)")] = "best",
    k: Annotated[int, typer.Option(min=1, help="prompts to average")] = 3,
    metric: Annotated[str, typer.Option(help="as in transfer similarity")] = "cosine-mean",
    steps: Annotated[
        int, typer.Option(min=1, help="short training that tells what the task is like")
    ] = 25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="train on a sample of that many")] = 2000,
    as_json: Json = False,
) -> None:
    """Rank a library of prompts by likeness to a task, and save the start that it gives."""
    with _verb(as_json), _progress("retrieving") as update:
        from labkit import prompt_transfer
        from labkit.core.backbones import load_backbone
        from labkit.core.tasks import load_task
        from labkit.core.tuning import fit
        from labkit.experiments import RECIPES
        from labkit.soft_prompt import SoftPrompt, initialise, save_prompt

        if strategy not in ("best", "average"):
            raise LabError(f"--strategy {strategy!r} is unknown; choose best or average")
        _check_replaceable(out)
        _check_writable(out)
        prompts = prompt_transfer.read_library(library)
        data, frozen = load_task(task), load_backbone(backbone)
        model = _model(frozen, data, None, None, soft=True)
        recipe = RECIPES[frozen.readout]
        length = len(next(iter(prompts.values())))
        own = initialise(recipe.init, frozen, length, model.verbalizer, seed)
        options = recipe.fit_options() | {"steps": steps}
        fit(
            model,
            own,
            data,
            **options,
            seed=seed,
            limit=limit,
            on_step=lambda done, loss, _: update(done, steps, f"training, loss {loss:.3f}"),
        )
        target = own.weight.detach()
        found = prompt_transfer.likeness(target, prompts, metric, frozen)
        names = list(found)[: 1 if strategy == "best" else k]
        start = prompt_transfer.weighted_start(prompts, {name: found[name] for name in names})
        what = {"task": task, "library": library, "backbone": backbone, "strategy": strategy}
        what |= {"k": k, "metric": metric, "steps": steps, "seed": seed, "limit": limit}
        command = command_line("transfer retrieve", {**what, "out": out})
        with _writing(out):
            warnings = save_prompt(out, SoftPrompt(start), model, command=command, seed=seed)
    lines = [f"{value:6.3f}  {name}" for name, value in found.items()]
    lines += [f"start from {', '.join(names)}", *warnings, f"saved in {out}"]
    told = {"similarity": found, "sources": names, "out": str(out), "command": command}
    _show(told, lines, as_json)


@transfer_app.command("pretrain")
def transfer_pretrain(
    out: Annotated[Path, typer.Option(help="folder for the prompt")],
    backbone: BackboneName = "minilm",
    form: Annotated[str, typer.Option(help="pairs, choice or single")] = "pairs",
    examples: Annotated[int, typer.Option(min=30, help="to make from the text")] = 2000,
    length: Length = 20,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Pre-train a prompt on plain text, the editorials (PPT), and save it as a start."""
    with _verb(as_json), _progress("preparing") as update:
        from labkit import prompt_transfer
        from labkit.core.backbones import load_backbone
        from labkit.core.prompted_model import evaluate
        from labkit.core.tasks import load_task
        from labkit.core.tuning import fit
        from labkit.experiments import RECIPES
        from labkit.soft_prompt import initialise, save_prompt

        if form not in ("pairs", "choice", "single"):
            raise LabError(f"--form {form!r} is unknown; choose pairs, choice or single")
        _check_replaceable(out)
        _check_writable(out)
        frozen = load_backbone(backbone)
        text = load_task("editorials-valence", as_regression=True).split("train")
        if form == "single":
            plain = load_task("editorials-valence")
            hard = _model(frozen, plain, None, None, soft=False)
            data = prompt_transfer.pseudo_labelled(hard, text[:examples], plain.labels)
        elif form == "pairs":
            data = prompt_transfer.sentence_pairs(text, examples, seed)
        else:
            data = prompt_transfer.next_sentence_choices(text, examples, seed)
        model = _model(frozen, data, None, None, soft=True)
        recipe = RECIPES[frozen.readout]
        prompt = initialise(recipe.init, frozen, length, model.verbalizer, seed)
        options = recipe.fit_options() | ({} if steps is None else {"steps": steps})
        history = fit(
            model,
            prompt,
            data,
            **options,
            seed=seed,
            on_step=lambda done, loss, _: update(done, options["steps"], f"loss {loss:.3f}"),
        )
        scores = _scores(evaluate(model, prompt, data, "test"))
        what = {"backbone": backbone, "form": form, "examples": examples, "length": length}
        command = command_line(
            "transfer pretrain", {**what, "steps": steps, "seed": seed, "out": out}
        )
        with _writing(out):
            warnings = save_prompt(out, prompt, model, command=command, seed=seed, scores=scores)
    lines = [f"pre-trained on {data.name}, {history.steps} steps", *_lines(scores), *warnings]
    told = {**scores, "form": form, "steps": history.steps, "out": str(out), "command": command}
    _show(told, [*lines, f"saved in {out}"], as_json)


@assignments_app.command("build")
def assignments_build(root: CourseFolder = Path(), as_json: Json = False) -> None:
    """Write assignments/ anew from notebooks/."""
    with _verb(as_json):
        from labkit.course import assignments

        files = [str(path) for path in assignments.build(root)]
    _show({"files": files}, files, as_json)


@assignments_app.command("check")
def assignments_check(root: CourseFolder = Path(), as_json: Json = False) -> None:
    """Prove that the skeletons are current, empty and marked rightly; exit code 1 if not."""
    with _verb(as_json), _progress("checking") as update:
        from labkit.course import assignments

        found = list(assignments.check(root, lambda name: update(0, None, name)))
    ok = all(finding.ok for finding in found)
    lines = [line for finding in found for line in finding.lines()]
    _show({"ok": ok, "findings": [finding._asdict() for finding in found]}, lines, as_json)
    raise typer.Exit(0 if ok else 1)


@app.command()
def grade(
    folder: Annotated[Path, typer.Argument(help="holds a folder for each student")],
    root: CourseFolder = Path(),
    out: Annotated[Path, typer.Option(help="folder for gradebook and tables")] = Path("marks"),
    cell_seconds: Annotated[float, typer.Option(min=1, help="for one cell")] = 60,
    notebook_seconds: Annotated[float, typer.Option(min=1, help="for one notebook")] = 300,
    memory_gb: Annotated[float, typer.Option(min=1, help="for one notebook")] = 6,
    as_json: Json = False,
) -> None:
    """Mark every student's notebooks: marks.csv and marks.md, with the checks' hints."""
    again = f"stopped; the same command goes over all of them again, into {out}"
    with _verb(as_json, again), _progress("marking") as update:
        from labkit.course import grading
        from labkit.course.sandbox import Limits

        limits = Limits(cell_seconds, notebook_seconds, round(memory_gb * 2**30))
        report = grading.grade(folder, root, out, limits, update)
    rows = [mark._asdict() for mark in report.marks]
    lines = [
        f"{student}: {points:g} of {most:g}" + (f", {by_hand} to mark by hand" if by_hand else "")
        for student, (points, most, by_hand) in report.totals().items()
    ]
    if not report.isolated:
        lines.append("not isolated: this system can't shut a process in; see docs/instructor.md")
    result = {"marks": rows, "isolated": report.isolated, "out": str(out)}
    _show(result, [*lines, f"in {out}: marks.csv, marks.md and the gradebook"], as_json)


@bench_app.command("tune")
def bench_tune(
    backbone: BackboneName = "smollm2", length: Length = 20, as_json: Json = False
) -> None:
    """Training steps per second."""
    with _verb(as_json), _progress("training") as update:
        from labkit import benchmarks

        result = benchmarks.bench_tune(backbone=backbone, length=length, on_progress=update)
    _show(result, _table(result), as_json)


@bench_app.command("evaluate")
def bench_evaluate(
    backbone: BackboneName = "smollm2",
    length: Length = 20,
    limit: Annotated[int, typer.Option(min=1, help="sentences to score")] = 128,
    as_json: Json = False,
) -> None:
    """Seconds to score sentences, and whether the predictions agree."""
    with _verb(as_json), _progress("scoring") as update:
        from labkit import benchmarks

        result = benchmarks.bench_evaluate(
            backbone=backbone, length=length, limit=limit, on_progress=update
        )
    _show(result, _table(result), as_json)


@bench_app.command("probe")
def bench_probe(
    backbone: BackboneName = "smollm2",
    length: Length = 20,
    limit: Annotated[int, typer.Option(min=1, help="sentences to score")] = 128,
    permutations: Annotated[int, typer.Option(min=2, help="orders to score")] = 2,
    as_json: Json = False,
) -> None:
    """Permutations per second, and how time and memory grow with them and with the examples."""
    with _verb(as_json), _progress("probing") as update:
        from labkit import benchmarks

        result = benchmarks.bench_probe(
            backbone=backbone,
            length=length,
            limit=limit,
            permutations=permutations,
            on_progress=update,
        )
    _show(result, _table(result), as_json)


# ---- reading options ----


def read_verbalizer(line: str | None) -> dict[str, tuple[str, ...]] | None:
    """``negative=terrible|awful,positive=great`` as class → words; None stays None."""
    if line is None:
        return None
    words: dict[str, tuple[str, ...]] = {}
    for part in line.split(","):
        label, equals, options = (piece.strip() for piece in part.partition("="))
        if not equals or not label or label in words:
            raise LabError(
                f"--verbalizer {line!r}: {part.strip()!r} is not one class with its words; write "
                "'negative=terrible|awful,positive=great'"
            )
        words[label] = tuple(word.strip() for word in options.split("|"))
    return words


def read_seeds(line: str) -> tuple[int, ...]:
    """``0,1,2`` as numbers."""
    parts = [part.strip() for part in line.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise LabError(f"--seeds {line!r} are not distinct whole numbers; write them as 0,1,2")
    return tuple(int(part) for part in parts)


def read_range(line: str | None) -> tuple[int, int] | None:
    """``0-50`` as first and last; None stays None."""
    if line is None:
        return None
    first, dash, last = line.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise LabError(f"--fixed {line!r} is no range; write first-last, such as 0-50")
    return int(first), int(last)


def command_line(verb: str, options: Mapping[str, object]) -> str:
    """The command that does the same again; of a folder only its name, so that nothing of this
    machine is in it."""
    words = ["labkit", verb]
    for name, value in options.items():
        if value is not None:
            is_path = isinstance(value, Path) or Path(str(value)).is_absolute()
            words += [f"--{name.replace('_', '-')}", Path(value).name if is_path else str(value)]
    return shlex.join(words)


def _profile(name: str | None) -> str | None:
    if name not in (None, "small", "full"):
        raise LabError(f"--profile {name!r} is not a profile; choose small or full")
    return name


def _engine(
    name: str, address: str | None, workers: int | None, threads: int | None, gpus: float
) -> Engine:
    from labkit.core.engines import LocalEngine, RayEngine

    if name == "local":
        if address is not None:
            raise LabError("--address is for --engine ray")
        return LocalEngine(workers, threads)
    if name != "ray":
        raise LabError(f"--engine {name!r} is unknown; choose local or ray")
    return RayEngine(address, threads or 1, gpus)


def _orders(
    shuffle: Shuffle, named: str | None, length: int, permutations: int, seed: int
) -> Orders:
    from labkit.shuffle_probe import NAMED

    if named is None:
        return shuffle.draw(length, permutations, seed)
    if named not in NAMED:
        raise LabError(f"--orders {named!r} is unknown; choose {', '.join(NAMED)}")
    return NAMED[named](length)


def _model(
    backbone: Backbone,
    task: Task,
    template: str | None,
    words: Mapping[str, tuple[str, ...]] | None,
    *,
    soft: bool,
    card: PromptCard | None = None,
) -> PromptedModel:
    """What is given goes before what was saved with the prompt, and that before the task's own."""
    from labkit.core.prompted_model import PromptedModel
    from labkit.core.templates import Template, Verbalizer

    line = None if template is None else Template(template.replace("\\n", "\n"))
    verbalizer = None if words is None else Verbalizer(words)
    if line is not None and verbalizer is not None and card is None:
        return PromptedModel(backbone, line, verbalizer)
    own = card.model(backbone) if card else PromptedModel.for_task(backbone, task, soft=soft)
    changes: dict[str, object] = {} if verbalizer is None else {"verbalizer": verbalizer}
    if line is not None:
        changes |= {"template": line, "sentinel": None}  # whether it has one is the template's word
    return own.with_changes(**changes)


def _trained_on(card: PromptCard) -> str | None:
    """The task in the command that made the prompt."""
    words = shlex.split(card.command)
    return words[words.index("--task") + 1] if "--task" in words[:-1] else None


# ---- training into a folder ----


def _train(
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    settings: Mapping[str, Any],
    command: str,
    out: Path,
    resume: bool,
    update: Update,
) -> dict[str, Any]:
    """Train, score on test and save: the scores, and how the training went."""
    from labkit.core.prompted_model import evaluate
    from labkit.core.tuning import fit
    from labkit.soft_prompt import save_prompt

    def on_step(done: int, loss: float, _validation: float | None) -> None:
        update(done, settings["steps"], f"training, loss {loss:.3f}")

    with _run_folder(out, command, resume) as run:
        history = fit(
            model, prompt, task, **settings, checkpoint=run, resume=resume, on_step=on_step
        )
        update(0, None, "scoring on test")
        result = {
            **_scores(evaluate(model, prompt, task, "test", progress=update)),
            "steps": history.steps,
            "best_step": history.best_step,
            "loss": history.losses[-1],
            "seconds": round(history.seconds, 2),
        }
        with _writing(out):
            warnings = save_prompt(
                out, prompt, model, command=command, seed=settings["seed"], scores=result
            )
    return {**result, "warnings": warnings}


def _finished(out: Path, command: str) -> dict[str, Any] | None:
    """What `labkit tune` reported for the prompt in ``out``, if this command has made it."""
    from labkit.soft_prompt import CARD, load_prompt

    if (out / RUN_FOLDER).is_dir() or not (out / CARD).is_file():
        return None
    _, card = load_prompt(out)
    return {**card.scores, "warnings": []} if card.command == command else None


@contextlib.contextmanager
def _run_folder(out: Path, command: str, resume: bool) -> Iterator[Path]:
    """``<out>/.run`` for the state of a run; saving the finished prompt replaces it.

    Raises:
        LabError: if ``out`` can't be written, holds other files (they would be lost), or holds a
            run that is not finished and not the one to resume.
    """
    folder, started = out / RUN_FOLDER, out / RUN_FOLDER / "command.txt"
    state = folder / "state.pt"
    _check_replaceable(out)
    if state.is_file():
        with _writing(out):
            earlier = started.read_text(encoding="utf-8") if started.is_file() else "another run"
        if not resume:
            raise LabError(
                f"{out} holds a run that was interrupted; continue it with --resume, choose "
                f"another --out, or delete {folder}"
            )
        if earlier != command:
            raise LabError(
                f"{out} holds a run started as `{earlier}`; resume with the same options, or "
                "choose another --out"
            )
    with _writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        started.write_text(command, encoding="utf-8")
    try:
        yield folder
    finally:
        if not state.is_file():  # nothing to resume from: leave no trace
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                out.rmdir()  # only if it is empty


def _check_replaceable(out: Path) -> None:
    from labkit.soft_prompt import CARD, CONFIG, WEIGHTS

    here = Path.cwd()
    if out.resolve() in (here, *here.parents):
        raise LabError(f"--out {out} is the folder you stand in, or around it; name one inside it")
    if out.is_dir():
        others = {file.name for file in out.iterdir()} - {CARD, CONFIG, WEIGHTS, RUN_FOLDER}
        if others:
            raise LabError(
                f"--out {out} holds other files ({', '.join(sorted(others)[:3])}); choose a folder "
                "of the prompt's own"
            )


def _check_writable(folder: Path) -> None:
    """Before hours of work, and without making anything."""
    from labkit.doctor import nearest_existing

    with _writing(folder), tempfile.TemporaryFile(dir=nearest_existing(folder)):
        pass


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(
            f"{folder} can't be written ({reason}); make room or choose another --out"
        ) from error


# ---- printing ----


@contextlib.contextmanager
def _verb(as_json: bool, interrupted: str = "stopped") -> Iterator[None]:
    """Errors as one line and an exit code; with ``--json`` no library can write to stdout."""
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            yield
    except LabError as error:
        _complain(f"error: {error}")
        raise typer.Exit(WRONG_INPUT) from error
    except KeyboardInterrupt as error:
        _complain(interrupted)
        raise typer.Exit(INTERRUPTED) from error


@contextlib.contextmanager
def _progress(text: str) -> Iterator[Update]:
    """A bar with the time left on stderr, if that is a terminal."""
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(text, total=None)

        def update(done: int, total: int | None, text: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield update


def _complain(text: object) -> None:
    print(" ".join(str(text).split()), file=sys.stderr)


def _show(result: Mapping[str, Any], lines: Sequence[str], as_json: bool) -> None:
    print(json.dumps(_finite(result), ensure_ascii=False) if as_json else "\n".join(lines))


def _finite(value: object) -> object:
    """The same without NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _scores(result: Evaluation) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": list(result.ci95),
        "majority": result.majority,
        "n": result.n,
        "shortened": result.shortened,
    }


def _lines(scores: Mapping[str, Any]) -> list[str]:
    low, high = scores["ci95"]
    blind = scores["majority"]
    against = "" if blind is None else f", majority class {blind:.3f}"
    lines = [
        f"{scores['metric']} {scores['value']:.3f} [{low:.3f}, {high:.3f}] "
        f"(n = {scores['n']}{against})"
    ]
    if scores["shortened"]:
        lines.append(f"{scores['shortened']} of {scores['n']} texts were shortened to fit")
    return lines


def _probe_lines(told: Mapping[str, Any], shuffle: Shuffle, orders: str | None) -> list[str]:
    low, high = told["ci95"]
    lines = [
        f"{told['permutations']} orders: {orders or shuffle}",
        f"trained order   {told['metric']} {told['baseline']:.3f} [{low:.3f}, {high:.3f}] "
        f"(n = {told['n']}), without positions {told['no_positions']:.3f}",
        f"other orders    worst {told['worst']:.3f}, mean {told['mean']:.3f}, best "
        f"{told['best']:.3f}; {told['worse']} worse, {told['better']} better, "
        f"{told['equal']} equal",
        "random order minus trained     {:+.3f} [{:+.3f}, {:+.3f}]".format(
            *told["mean_difference"]
        ),
        f"best order, where chosen {told['best_chosen']:+.3f}, on the other half "
        "{:+.3f} [{:+.3f}, {:+.3f}]".format(*told["best_held_out"]),
        f"share of the variance between orders that is sampling noise: {told['noise_share']:.2f}",
    ]
    if "significant" in told:
        beyond = told["significant"]
        lines.append(
            f"beyond chance (McNemar, false-discovery rate 5 %): {beyond['worse']} worse, "
            f"{beyond['better']} better; {told['flip_rate']:.1%} of the predictions flip"
        )
    return lines


def _device(backbone: Backbone) -> dict[str, str]:
    return {"device": str(backbone.device), "dtype": str(backbone.dtype).removeprefix("torch.")}


def _table(result: Mapping[str, object]) -> list[str]:
    return [
        f"{key:<22}{value:.3f}" if isinstance(value, float) else f"{key:<22}{value}"
        for key, value in result.items()
    ]


def _show_assets(states: Mapping[str, str], as_json: bool) -> None:
    from labkit.core.assets import ASSETS

    rows = [
        {
            "name": name,
            "state": state,
            "version": ASSETS[name].version,
            "size": ASSETS[name].size,
            "licence": ASSETS[name].licence,
            "about": ASSETS[name].about,
        }
        for name, state in states.items()
    ]
    lines = [
        f"{row['name']:<9}{row['state']:<9}{row['size'] / 1e6:>6.1f} MB  {row['licence']:<11}"
        f"{row['about']}"
        for row in rows
    ]
    _show({"assets": rows}, lines, as_json)


def _verb_of(arguments: Sequence[str]) -> str:
    """The verb that was meant, as far as it is known, followed by a space."""
    groups = {
        "assets": ("fetch", "verify", "list"),
        "bench": ("tune", "evaluate", "probe"),
        "assignments": ("build", "check"),
        "transfer": ("similarity", "matrix", "retrieve", "pretrain"),
    }
    words = list(arguments[:2]) if arguments and arguments[0] in groups else arguments[:1]
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    if words and words[0] in known:
        return f"{words[0]} "
    if len(words) == 2 and words[1] in groups[words[0]]:
        return f"{words[0]} {words[1]} "
    return f"{words[0]} " if words and words[0] in groups else ""
