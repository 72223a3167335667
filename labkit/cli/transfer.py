"""`labkit transfer`: prompts compared, and used on other tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.folders import check_replaceable, check_takes_results, check_writable, writing
from labkit.cli.options import (
    BackboneName,
    Json,
    Length,
    Seed,
    TaskName,
    command_line,
    model_for,
    read_seeds,
)
from labkit.cli.output import AGAIN, as_row, complain, score_lines, show, verb
from labkit.cli.progress import progress
from labkit.core.errors import LabError

app = typer.Typer(help="Prompts compared, and used on other tasks.")


@app.command("similarity")
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
    with verb(as_json):
        from labkit import prompt_transfer
        from labkit.core.loading import load_backbone

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
    show({"names": names, "metric": metric, "matrix": matrix.tolist()}, lines, as_json)


@app.command("matrix")
def transfer_matrix(
    backbone: BackboneName = "minilm",
    seeds: Annotated[str, typer.Option(help="such as 0,1,2")] = "0,1,2",
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results"),
    resume: Annotated[bool, typer.Option(help="keep the finished rows, run the others")] = False,
    as_json: Json = False,
) -> None:
    """Every source's prompt on every target, zero-shot; the same as `labkit run transfer`."""
    with verb(as_json, AGAIN), progress("transfer") as update:
        chosen = read_seeds(seeds)
        check_takes_results(out)
        from labkit import experiments
        from labkit.core import assets
        from labkit.experiments import transfer

        with writing(out):
            result = experiments.run(
                "transfer",
                profile=assets.profile(),
                backbone=backbone,
                seeds=chosen,
                out=out,
                resume=resume,
                note=complain,
                on_progress=update,
            )
        table = transfer.table(result)
        lines = experiments.markdown(result).rstrip().splitlines()
    fields = {
        "sources": list(table.sources),
        "targets": list(table.targets),
        "seeds": list(table.seeds),
        "values": table.values.tolist(),
        "seen": table.seen.tolist(),
        "controls": {name: values.tolist() for name, values in table.controls.items()},
        "majority": table.majority.tolist(),
        "file": result["file"],
    }
    show(fields, [*lines, "", f"in {out}"], as_json)


@app.command("retrieve")
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
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="train on a sample of that many")] = 2000,
    as_json: Json = False,
) -> None:
    """Rank a library of prompts by likeness to a task, and save the start that it gives."""
    with verb(as_json), progress("retrieving") as update:
        from labkit import prompt_transfer
        from labkit.core.loading import load_backbone
        from labkit.core.tasks import load_task
        from labkit.core.tuning import fit
        from labkit.experiments import RECIPES
        from labkit.soft_prompt import SoftPrompt, initialise, save_prompt

        if strategy not in ("best", "average"):
            raise LabError(f"--strategy {strategy!r} is unknown; choose best or average")
        check_replaceable(out)
        check_writable(out)
        data, frozen = load_task(task), load_backbone(backbone)
        prompts = prompt_transfer.read_library(library, backbone=frozen)
        model = model_for(frozen, data, None, None, soft=True)
        recipe = RECIPES[frozen.readout]
        one = next(iter(prompts.values()))
        prompt_transfer.likeness(one, prompts, metric, frozen)  # what can't be compared, now
        length = len(one)
        short_trained = initialise(recipe.init, frozen, length, model.verbalizer, seed)
        fit(
            model,
            short_trained,
            data,
            recipe,
            steps=steps,
            seed=seed,
            limit=limit,
            on_step=lambda done, loss, _: update(done, steps, f"training, loss {loss:.3f}"),
        )
        target = short_trained.weight.detach()
        similarity = prompt_transfer.likeness(target, prompts, metric, frozen)
        names = list(similarity)[: 1 if strategy == "best" else k]
        start = prompt_transfer.weighted_start(prompts, {name: similarity[name] for name in names})
        what = {"task": task, "library": library, "backbone": backbone, "strategy": strategy}
        what |= {"k": k, "metric": metric, "steps": steps, "seed": seed, "limit": limit}
        command = command_line("transfer retrieve", {**what, "out": out})
        with writing(out):
            warnings = save_prompt(out, SoftPrompt(start), model, command=command, seed=seed)
    lines = [f"{value:6.3f}  {name}" for name, value in similarity.items()]
    lines += [f"start from {', '.join(names)}", *warnings, f"saved in {out}"]
    fields = {"similarity": similarity, "sources": names, "out": str(out), "command": command}
    show(fields, lines, as_json)


@app.command("pretrain")
def transfer_pretrain(
    out: Annotated[Path, typer.Option(help="folder for the prompt")],
    backbone: BackboneName = "minilm",
    form: Annotated[str, typer.Option(help="pairs, choice or single")] = "pairs",
    examples: Annotated[int, typer.Option(min=30, help="to make from the text")] = 2000,
    length: Length = 20,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Seed = 0,
    target: Annotated[
        list[str] | None,
        typer.Option(help="a task that it is for: its test sentences are left out; repeatable"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Pre-train a prompt on plain text, the editorials (PPT), and save it as a start."""
    with verb(as_json), progress("preparing") as update:
        from labkit.core.loading import load_backbone
        from labkit.core.prompted_model import evaluate, require_scorable
        from labkit.core.tasks import load_task
        from labkit.core.tuning import fit
        from labkit.experiments import RECIPES
        from labkit.prompt_pretraining import pretraining_task
        from labkit.soft_prompt import initialise, save_prompt

        check_replaceable(out)
        check_writable(out)
        frozen = load_backbone(backbone)
        targets = [load_task(name) for name in target or ()]
        data = pretraining_task(form, frozen, examples, seed, targets)
        model = model_for(frozen, data, None, None, soft=True)
        recipe = RECIPES[frozen.readout].with_changes({} if steps is None else {"steps": steps})
        prompt = initialise(recipe.init, frozen, length, model.verbalizer, seed)
        require_scorable(model, prompt, data)
        history = fit(
            model,
            prompt,
            data,
            recipe,
            seed=seed,
            on_step=lambda done, loss, _: update(done, recipe.steps, f"loss {loss:.3f}"),
        )
        what = {"backbone": backbone, "form": form, "examples": examples, "length": length}
        what |= {"steps": steps, "seed": seed, "out": out, "target": target}
        command = command_line("transfer pretrain", what)
        with writing(out):
            save_prompt(out, prompt, model, command=command, seed=seed)
        scores = as_row(evaluate(model, prompt, data, "test"))
        with writing(out):
            warnings = save_prompt(out, prompt, model, command=command, seed=seed, scores=scores)
    lines = [f"pre-trained on {data.name}, {history.steps} steps", *score_lines(scores), *warnings]
    fields = {**scores, "form": form, "steps": history.steps, "out": str(out), "command": command}
    show(fields, [*lines, f"saved in {out}"], as_json)
