"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from labkit.experiments.base.rows import has_learned, learned
from labkit.experiments.base.verdicts import summarise, verdict_line


def cells(values: Iterable) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(map(str, values)) + " |"


def table_head(headings: Sequence[object]) -> list[str]:
    return [cells(headings), cells(["---"] * len(headings))]


def report_head(result: Mapping, headings: Sequence[object], about: str = "") -> list[str]:
    """How every report begins: title, command and what else is to be said, head of the table."""
    return [
        f"# {result['name']} ({result['task']})",
        "",
        f"`{result['command']}`{about}",
        "",
        *table_head(headings),
    ]


def verdict_section(
    rows: Iterable[Mapping], name: Callable[[Mapping], str] = lambda row: ""
) -> list[str]:
    """How a report ends: the verdict of each row, behind what ``name`` says of it."""
    return [
        "",
        "## Verdicts",
        "",
        *(f"- {name(row)}{verdict_line(row['verdict'])}" for row in rows),
    ]


def as_markdown(result: Mapping) -> str:
    """The result as a table over the prompts that learned, and the verdict on each claim."""
    rows = result["rows"]
    headings = ["setting", "mean", "95 % interval over seeds", "seeds"]
    lines = report_head(result, headings, f", test n = {rows[0]['n']}")
    for row in summarise(learned(rows)):
        interval = "–" if row["ci95"] is None else "{:.3f} … {:.3f}".format(*row["ci95"])
        lines.append(cells([row["setting"], f"{row['mean']:.3f}", interval, row["seeds"]]))
    for row in rows:
        if not has_learned(row):
            lines += ["", f"- {row['setting']}, seed {row['seed']}: does not learn"]
    for judged in result["verdict"]:
        lines += ["", f"- {verdict_line(judged)} ({judged['seeds']} seeds)"]
    return "\n".join(lines) + "\n"
