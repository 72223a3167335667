"""`labkit doctor`, `assets`, `assignments` and `grade`: the course on a machine and in a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.folders import check_replaceable, check_writable
from labkit.cli.options import Json, Seed, command_line
from labkit.cli.output import show, verb
from labkit.cli.progress import progress
from labkit.core.errors import LabError

app = typer.Typer()
assets_app = typer.Typer(help="The default models and data, fetched once.")
assignments_app = typer.Typer(help="The students' skeletons, made from notebooks/.")
app.add_typer(assets_app, name="assets")
app.add_typer(assignments_app, name="assignments")

Names = Annotated[list[str] | None, typer.Argument(help="default: all that are not optional")]
DAY = 86_400  # seconds
CourseFolder = Annotated[Path, typer.Option("--root", help="the course's folder")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check packages, device, assets, network, disk and Jupyter; say how to fix what is wrong."""
    with verb(as_json):
        from labkit.doctor import examine

        checks = examine()
    ok = all(check.ok for check in checks)
    lines = [f"[{'ok' if c.ok else 'fail'}] {c.name}: {c.found}" + c.advice() for c in checks]
    show({"ok": ok, "checks": [check._asdict() for check in checks]}, lines, as_json)
    raise typer.Exit(0 if ok else 1)


@assets_app.command("fetch")
def assets_fetch(
    names: Names = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="I have read and accept a model's terms of use")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring what is missing or damaged; an interrupted download goes on where it stopped."""
    again = "stopped; `labkit assets fetch` goes on from there"
    with verb(as_json, again), progress("fetching") as update:
        from labkit.core import assets

        assets.fetch(
            names,
            lambda what, done, total: update(done, total, what),
            terms_accepted=accept_terms,
        )
        states = assets.verify(names)
    _show_assets(states, as_json)


@assets_app.command("make")
def assets_make(
    name: Annotated[str, typer.Argument(help="minilm-mlm, the only one that is made here")],
    out: Annotated[Path, typer.Option(help="folder for the model")],
    tasks: Annotated[
        str | None,
        typer.Option(help="whose training texts are used, as sst2,qnli. Default: the default data"),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="folder of .txt files, one text a line, used besides")
    ] = None,
    steps: Annotated[int, typer.Option(min=1)] = 1500,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on from the last checkpoint")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train what MiniLM lacks to predict words: low-rank changes and a head (20 minutes of a core).

    Texts that any task at hand is validated or tested with are left out.
    """
    again = "stopped; the same command with --resume goes on from the last checkpoint"
    with verb(as_json, again), progress("reading texts") as update:
        if name != "minilm-mlm":
            raise LabError(f"{name!r} is not made here; give minilm-mlm")
        from labkit.core.masked_head.storage import FILES
        from labkit.core.masked_head.texts import DEFAULT_TASKS, gather_texts
        from labkit.core.masked_head.training import MaskedRecipe, train_masked_head

        check_replaceable(out, "model", FILES)
        check_writable(out)
        options = {"tasks": tasks, "text": text, "steps": steps, "seed": seed, "out": out}
        card = train_masked_head(
            out,
            gather_texts([n.strip() for n in tasks.split(",")] if tasks else DEFAULT_TASKS, text),
            MaskedRecipe(steps=steps, seed=seed),
            command=command_line(f"assets make {name}", options),
            resume=resume,
            on_step=lambda done, total, loss: update(done, total, f"loss {loss:.2f}"),
        )
    held = card["held_out"]
    low, high = held["ci95"]
    line = (
        f"{out}: masked accuracy {held['masked_accuracy']:.3f} [{low:.3f}, {high:.3f}], perplexity "
        f"{held['perplexity']:.0f} on {held['texts']} texts held out"
    )
    show(card, [line], as_json)


@assets_app.command("verify")
def assets_verify(names: Names = None, as_json: Json = False) -> None:
    """Compare the checksums of what is in the cache; exit code 1 if something is not whole."""
    with verb(as_json):
        from labkit.core import assets

        states = assets.verify(names)
    _show_assets(states, as_json)
    raise typer.Exit(0 if set(states.values()) == {"ok"} else 1)


@assets_app.command("list")
def assets_list(as_json: Json = False) -> None:
    """Name the default models and data, with size, licence and whether they are here."""
    with verb(as_json):
        from labkit.core import assets

        known = assets.ASSETS.values()
        states = {
            a.name: "fetched" if assets.is_ready(a) else "optional" if a.optional else "missing"
            for a in known
        }
    _show_assets(states, as_json)


def _show_assets(states: Mapping[str, str], as_json: bool) -> None:
    from labkit.core.assets import ASSETS

    rows = [
        {
            "name": name,
            "state": state,
            "version": ASSETS[name].version,
            "size": ASSETS[name].download_size,
            "licence": ASSETS[name].licence,
            "about": ASSETS[name].about,
        }
        for name, state in states.items()
    ]
    lines = [
        f"{row['name']:<11}{row['state']:<9}{row['size'] / 1e6:>6.1f} MB  {row['licence']:<11}"
        f"{row['about']}"
        for row in rows
    ]
    show({"assets": rows}, lines, as_json)


@assignments_app.command("build")
def assignments_build(root: CourseFolder = Path(), as_json: Json = False) -> None:
    """Write assignments/ anew from notebooks/."""
    with verb(as_json):
        from labkit.course.marking import skeletons

        files = [str(path) for path in skeletons.build(root)]
    show({"files": files}, files, as_json)


@assignments_app.command("check")
def assignments_check(root: CourseFolder = Path(), as_json: Json = False) -> None:
    """Prove that the skeletons are current, empty and marked rightly; exit code 1 if not."""
    with verb(as_json), progress("checking") as update:
        from labkit.course.marking import proofs

        findings = list(proofs.check(root, lambda name: update(0, None, name)))
    ok = all(finding.ok for finding in findings)
    lines = [line for finding in findings for line in finding.lines()]
    show({"ok": ok, "findings": [finding._asdict() for finding in findings]}, lines, as_json)
    raise typer.Exit(0 if ok else 1)


@assignments_app.command("export")
def assignments_export(
    folder: Annotated[Path, typer.Argument(help="a new or empty folder")],
    root: CourseFolder = Path(),
    as_json: Json = False,
) -> None:
    """Write what students get: the skeletons, the library, a README; no solutions."""
    with verb(as_json):
        from labkit.course.marking import student_package

        files = [str(path) for path in student_package.export(root, folder)]
    show({"files": files}, files, as_json)


@app.command()
def grade(
    folder: Annotated[Path, typer.Argument(help="the submissions: a folder or a zip file")],
    root: CourseFolder = Path(),
    out: Annotated[Path, typer.Option(help="folder for gradebook and tables")] = Path("marks"),
    cell_seconds: Annotated[float, typer.Option(min=1, max=DAY, help="for one cell")] = 60,
    notebook_seconds: Annotated[float, typer.Option(min=1, max=DAY, help="for one notebook")] = 300,
    memory_gb: Annotated[float, typer.Option(min=1, max=10_000, help="for one notebook")] = 6,
    not_isolated: Annotated[
        bool, typer.Option("--not-isolated", help="mark where nothing can be shut in, too")
    ] = False,
    as_json: Json = False,
) -> None:
    """Mark every student's notebooks: marks.csv and marks.md, with the checks' hints.

    Exit code 1 if a notebook could not be marked.
    """
    again = f"stopped; the same command goes over all of them again, into {out}"
    with verb(as_json, again), progress("marking") as update:
        from labkit.course.marking.gradebook import grade as mark
        from labkit.course.marking.sandbox import Limits

        limits = Limits(cell_seconds, notebook_seconds, round(memory_gb * 2**30))
        report = mark(folder, root, out, limits, update, not_isolated=not_isolated)
    result = {
        "marks": [mark._asdict() for mark in report.marks],
        "left_aside": [file._asdict() for file in report.aside],
        "isolated": report.isolated,
        "out": str(out),
    }
    lines = [*report.lines(), f"in {out}: marks.csv, marks.md and the gradebook"]
    show(result, lines, as_json)
    raise typer.Exit(1 if report.not_marked() else 0)
