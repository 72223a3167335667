"""`labkit sort`: a better order of a prompt's virtual tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.folders import check_replaceable, check_writable, writing
from labkit.cli.options import Json, LogFile, Seed, command_line, opened
from labkit.cli.output import show, verb
from labkit.cli.progress import progress
from labkit.core.errors import LabError
from labkit.core.files import real

app = typer.Typer()


@app.command()
def sort(
    prompt: Annotated[Path, typer.Option(help="folder of a saved soft prompt")],
    out: Annotated[Path, typer.Option(help="folder for the sorted prompt")],
    method: Annotated[
        str,
        typer.Option(
            help="swap, assignment, plackett-luce or random (no sorter); lstm, lstm-taught, "
            "lstm-printed or lstm-untrained; sinkhorn, softsort or neuralsort"
        ),
    ] = "swap",
    positions: Annotated[
        bool, typer.Option("--positions", help="position enhancement for the lstm sorter")
    ] = False,
    budget: Annotated[
        int | None, typer.Option(min=1, help="sentences through the model; default: 57,600")
    ] = None,
    seed: Seed = 0,
    backbone: Annotated[str | None, typer.Option(help="default: the prompt's own")] = None,
    task: Annotated[str | None, typer.Option(help="default: what it was trained on")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="report on a sample of that many")
    ] = None,
    log: LogFile = None,
    as_json: Json = False,
) -> None:
    """Look for a better order of a prompt's virtual tokens: chosen on train, reported on test."""
    with verb(as_json), progress("sorting", log, out) as update:
        from labkit import lstm_sorter
        from labkit.soft_prompt import SoftPrompt, save_prompt

        if real(out) == real(prompt):
            raise LabError(f"--out {out} is the prompt to be sorted; choose another folder")
        check_replaceable(out)
        check_writable(out)
        model, module, data = opened(prompt, backbone, task)
        backbone = backbone or model.backbone.name
        settings = {
            "method": method,
            "budget": lstm_sorter.BUDGET if budget is None else budget,
            "seed": seed,
            "positions": positions,
            "limit": limit,
        }
        result = lstm_sorter.search(model, module, data, **settings, on_progress=update)
        for spent, loss in result.best.history:  # the search tells only how far it is
            update(spent, settings["budget"], "least loss so far", loss=loss)
        scores = {
            "before": result.before.value,
            "after": result.after.value,
            "order": list(result.order),
            "is_permutation": result.is_permutation,
            "forward_passes": result.forward_passes,
            "seconds": round(result.seconds, 2),
            "loss_before": result.best.loss_before,
            "loss": result.best.loss,
            "examples": data.fingerprint(*data.splits),
        }
        what = {"prompt": prompt, "backbone": backbone, "task": task or data.name, **settings}
        flags = {"positions": what.pop("positions")}
        command = command_line("sort", {**what, "out": out}, flags)
        ordered = SoftPrompt(module().detach()[scores["order"]])
        with writing(out):
            warnings = save_prompt(out, ordered, model, command=command, seed=seed, scores=scores)
    lines = [
        model.backbone.describe(),
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
    show({**scores, **about, "method": method, "out": str(out), "command": command}, lines, as_json)
