"""`labkit run`, `audit` and `bench`: tables of the paper, its own audit, and speed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.folders import check_takes_results, writing
from labkit.cli.options import (
    MOST_SEEDS,
    BackboneName,
    BatchTokens,
    Device,
    Json,
    Length,
    LogFile,
    held_to,
    read_engine,
    read_profile,
    read_seeds,
)
from labkit.cli.output import AGAIN, complain, show, table_lines, verb
from labkit.cli.progress import progress
from labkit.core.errors import LabError

app = typer.Typer()
bench_app = typer.Typer(help="labkit against PEFT: same model, texts and prompt, in one run.")
app.add_typer(bench_app, name="bench")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="an experiment; a wrong name lists them all")],
    profile: Annotated[
        str | None, typer.Option(help="small or full; default: LABKIT_PROFILE, else small")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="instead of the experiment's own")] = None,
    task: Annotated[str | None, typer.Option(help="instead of the experiment's own")] = None,
    seeds: Annotated[str | None, typer.Option(help="such as 0,1,2 or 0..4")] = None,
    prompts: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SEEDS, help="that many prompts a row: seeds 0 … N−1"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="a row of the table, or a pattern such as 'minilm*'; may be repeated"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="score that many test examples; default: its own")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results"),
    resume: Annotated[
        bool, typer.Option(help="keep the finished rows that still fit, run the others")
    ] = False,
    engine: Annotated[str, typer.Option(help="local, or ray for a cluster")] = "local",
    address: Annotated[
        str | None, typer.Option(help="of a running Ray cluster; default: RAY_ADDRESS")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="rows at once; default: what this machine has room for"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="threads of a row; default: the cores shared out")
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(min=0, help="GPUs of a row on the cluster; default: one where there are any"),
    ] = None,
    batch_tokens: BatchTokens = None,
    log: LogFile = None,
    as_json: Json = False,
) -> None:
    """Run a named experiment: a table of the paper, row by row."""
    with verb(as_json, AGAIN), held_to(batch_tokens), progress(name, log) as update:
        if seeds is not None and prompts is not None:
            raise LabError("--seeds and --prompts both say which prompts; give one of them")
        chosen = {} if seeds is None else {"seeds": read_seeds(seeds)}
        if prompts is not None:
            chosen = {"seeds": tuple(range(prompts))}
        check_takes_results(out)
        from labkit import experiments
        from labkit.core import assets
        from labkit.course.figures.results import result_figure

        size = read_profile(profile) or assets.profile()
        if size == "full":
            estimate = experiments.estimate(name, backbone=backbone, task=task, **chosen)
            complain(estimate)
        with writing(out):
            result = experiments.run(
                name,
                profile=size,
                backbone=backbone,
                task=task,
                out=out,
                resume=resume,
                limit=limit,
                only=only or (),
                note=complain,
                on_progress=update,
                engine=read_engine(engine, address, workers, threads, gpus),
                **chosen,
            )
            figure = result_figure(result)
            if figure is not None:
                (out / f"{result['file']}.png").write_bytes(figure.png())
        table = experiments.markdown(result)
    show(result, [table.rstrip(), "", f"in {out}"], as_json)


@app.command()
def power(
    name: Annotated[str, typer.Argument(help="a table of orders: table1 … table6, swaps")],
    profile: Annotated[
        str | None, typer.Option(help="small or full; default: LABKIT_PROFILE, else small")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="instead of the table's own")] = None,
    task: Annotated[str | None, typer.Option(help="instead of the table's own")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="a row of the table, or a pattern such as 'minilm*'; may be repeated"),
    ] = None,
    half_width: Annotated[
        float, typer.Option(min=0.01, help="of the mean order effect's 95 % interval, in points")
    ] = 1.5,
    prompts: Annotated[
        int, typer.Option(min=1, max=MOST_SEEDS, help="at least that many prompts")
    ] = 1,
    stored: Annotated[
        Path | None,
        typer.Option(help="results whose matrices give the variances; default: the course's"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan a table: the cheapest numbers of prompts, orders and sentences, and their time here."""
    with verb(as_json), progress("measuring"):
        from labkit import experiments
        from labkit.core import assets
        from labkit.experiments import planning

        plan = experiments.power(
            name,
            profile=read_profile(profile) or assets.profile(),
            backbone=backbone,
            task=task,
            only=only or (),
            half_width=half_width / 100,
            prompts=prompts,
            stored=stored,
        )
        lines = planning.as_markdown(plan).rstrip().splitlines()
    show(plan, lines, as_json)


@app.command()
def audit(as_json: Json = False) -> None:
    """Print every claim of the papers with what the stored runs say, and what in the sorter's
    paper does not add up: its own tables, text and equations, computed."""
    with verb(as_json):
        from labkit.audit import findings
        from labkit.experiments import ledger

        listed, claims = findings.audit(), ledger.read()
    show(
        {"findings": [asdict(f) for f in listed], "claims": claims["claims"]},
        [*ledger.as_lines(claims), *findings.as_lines(listed)],
        as_json,
    )


@bench_app.command("tune")
def bench_tune(
    backbone: BackboneName = "smollm2",
    length: Length = 20,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Training steps per second."""
    with verb(as_json), progress("training") as update:
        from labkit import benchmarks

        result = benchmarks.bench_tune(
            backbone=backbone, length=length, device=device, on_progress=update
        )
    show(result, table_lines(result), as_json)


@bench_app.command("evaluate")
def bench_evaluate(
    backbone: BackboneName = "smollm2",
    length: Length = 20,
    limit: Annotated[int, typer.Option(min=1, help="sentences to score")] = 128,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Seconds to score sentences, and whether the predictions agree."""
    with verb(as_json), progress("scoring") as update:
        from labkit import benchmarks

        result = benchmarks.bench_evaluate(
            backbone=backbone, length=length, limit=limit, device=device, on_progress=update
        )
    show(result, table_lines(result), as_json)


@bench_app.command("probe")
def bench_probe(
    backbone: BackboneName = "smollm2",
    length: Length = 20,
    limit: Annotated[int, typer.Option(min=1, help="sentences to score")] = 128,
    permutations: Annotated[int, typer.Option(min=2, help="orders to score")] = 2,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Permutations per second, and how time and memory grow with them and with the examples."""
    with verb(as_json), progress("probing") as update:
        from labkit import benchmarks

        result = benchmarks.bench_probe(
            backbone=backbone,
            length=length,
            limit=limit,
            permutations=permutations,
            device=device,
            on_progress=update,
        )
    show(result, table_lines(result), as_json)


@bench_app.command("all")
def bench_all(
    out: Annotated[Path, typer.Option(help="folder; what is in it is not measured again")],
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Every benchmark at 20 and 100 virtual tokens, and agreement with the CPU's scores."""
    with verb(as_json), progress("measuring") as update:
        from labkit.benchmarks import session

        results = session.bench_all(out, device, update)
    lines = [line for name, part in results.items() for line in (f"{name}:", *table_lines(part))]
    show(results, lines, as_json)
    failed = [name for name, part in results.items() if "failed" in part]
    if failed:
        complain(
            f"error: {', '.join(failed)} could not be measured; the tracebacks are in "
            f"{out / session.ERRORS}, and the same command tries again what is missing"
        )
        raise typer.Exit(1)
