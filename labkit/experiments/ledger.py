"""The ledger: every claim of the papers that the course follows, and what its runs say about it.

``data/claims.json`` holds both. By hand: the papers, each claim with where it stands, which sign it
expects of a difference, and pointers to evidence, the best first, or why it is not examined.
Computed from ``data/reference``, and written beside it by ``make ledger``: ``results``. A model's
results come from the first pointer whose file is there; one that has no file yet is "not run yet",
with the command that makes it.

Usage::

    for claim in read()["claims"]:
        print(claim["id"], by_model(claim))
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from labkit.core.bundled import bundled
from labkit.core.errors import LabError
from labkit.core.files import with_region, write_text
from labkit.experiments import conclude_again
from labkit.experiments.base.report import cells, table_head
from labkit.experiments.base.runner import REFERENCE
from labkit.experiments.base.verdicts import (
    AGREES,
    DISAGREES,
    UNCHANGED,
    UNDECIDED,
    told,
    verdict,
)
from labkit.experiments.evidence import READERS, Reading, Result

FILE = bundled("claims.json")
NOT_RUN, NOT_LEARNED = "not run yet", "no prompt passed the gate"
TOO_FEW = "too few prompts passed the gate"
"""Of a run that is there, and of which what is left can't be compared."""

STOPPED = NOT_LEARNED, TOO_FEW
"""What a run ended in that stopped at the gate."""

DIGITS = 6
"""Of stored numbers: what differs between releases of numpy and scipy is far smaller."""


def read(file: Path = FILE) -> dict:
    """``papers`` and ``claims``.

    Raises:
        LabError: for a file that is missing or damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"{file} can't be read ({error}); restore it from the repository") from error


# ---- what the runs say ----


def results(claim: Mapping, folder: Path = REFERENCE) -> list[dict]:
    """What the stored runs say about a claim: for each of its models, one entry for each reading.

    Raises:
        LabError: for a pointer that names no reader.
    """
    models = dict.fromkeys(m for pointer in claim.get("evidence", ()) for m in pointer["models"])
    return [entry for model in models for entry in _of_model(claim, model, folder)]


def _of_model(claim: Mapping, model: str, folder: Path) -> list[dict]:
    """A model's entries, from the first pointer that has something to say about it."""
    pointers = [pointer for pointer in claim["evidence"] if model in pointer["models"]]
    gates: list[bool] = []
    for pointer in pointers:
        files = sorted(folder.glob(f"{pointer['file'].format(model=model)}.json"))
        # "minilm-*" is also a file of minilm-mlm's
        stored = [result for result in map(Result.read, files) if model in result.models]
        gates += [passed for result in stored for passed in result.gates]
        entries = [
            _entry(claim, model, result, reading)
            for result in stored
            for reading in _readings(pointer, model, result)
        ]
        if entries:
            return entries
    outcome = NOT_LEARNED if gates and not any(gates) else NOT_RUN
    return [{"model": model, "command": _command(pointers[0], model), "verdict": outcome}]


def _readings(pointer: Mapping, model: str, result: Result) -> Iterator[Reading]:
    reader = READERS.get(pointer["read"])
    if reader is None:
        raise LabError(
            f"evidence {pointer['file']} is read by {pointer['read']!r}, and there is no such "
            f"reader; choose one of {', '.join(READERS)}"
        )
    for words in pointer["of"]:
        yield from reader(result, *(word.format(model=model) for word in words))


def _entry(claim: Mapping, model: str, result: Result, reading: Reading) -> dict:
    entry = {"model": model}
    if reading.about not in ("", model):
        entry["about"] = reading.about
    entry |= {"command": result.content["command"], "file": result.file.stem}
    if reading.difference is None:
        return entry | {"verdict": TOO_FEW if reading.passed else NOT_LEARNED}
    judged = verdict(claim["says"], reading.difference, claim["expects"] == "above zero")
    entry |= {
        "difference": round(judged["difference"], DIGITS),
        "ci95": [round(end, DIGITS) for end in judged["ci95"]],
        "verdict": judged["verdict"],
    }
    if "detectable" in judged:
        entry["detectable"] = round(judged["detectable"], DIGITS)
    entry |= {"seeds": reading.seeds, "n": reading.n, "unit": reading.unit}
    devices = result.devices if reading.devices is None else reading.devices
    return entry | ({"devices": list(devices)} if len(devices) > 1 else {})


def _command(pointer: Mapping, model: str) -> str:
    """What makes the file of a pointer."""
    experiment, _, task = pointer["file"].partition("-{model}")
    asked = f" --task {task.removeprefix('-')}" if task not in ("", "-*", "-tasks") else ""
    return f"labkit run {experiment} --backbone {model}{asked}"


# ---- in words ----


def by_model(claim: Mapping) -> dict[str, str]:
    """Model → verdict: the one that all its results share, or how many have which.

    Beside results that say something, those that stopped at the gate are not counted; where all
    stopped there, and not all of them with no prompt, too few passed.
    """
    verdicts: dict[str, Counter] = {}
    for entry in claim.get("results", ()):
        verdicts.setdefault(entry["model"], Counter())[entry["verdict"]] += 1
    return {model: _shared(_without_stopped(counts)) for model, counts in verdicts.items()}


def _without_stopped(counts: Counter) -> Counter:
    said = Counter({outcome: n for outcome, n in counts.items() if outcome not in STOPPED})
    if said or len(counts) == 1:
        return said or counts
    return Counter({TOO_FEW: counts.total()})


def _shared(counts: Counter) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    order = (AGREES, DISAGREES, UNDECIDED, UNCHANGED)
    parts = [f"{counts[outcome]} {_PLURAL[outcome]}" for outcome in order if counts[outcome]]
    return f"of {sum(counts.values())}: " + ", ".join(parts)


_PLURAL = {AGREES: "agree", DISAGREES: "disagree", UNDECIDED: UNDECIDED, UNCHANGED: UNCHANGED}


def _numbers(entry: Mapping) -> str:
    """A result's difference with its interval, and what it rests on; "" where there is none."""
    if "difference" not in entry:
        return ""
    shown = told([entry["difference"], *entry["ci95"]])
    seeds = "1 seed" if entry["seeds"] == 1 else f"{entry['seeds']} seeds"
    mixed = f", rows of {' and '.join(entry['devices'])}" if "devices" in entry else ""
    return f"{shown}; {seeds}, {entry['n']:,} {entry['unit']}{mixed}"


def as_lines(ledger: Mapping) -> list[str]:
    """For people: each claim with its results and their commands, under its paper."""
    lines = []
    for paper in ledger["papers"]:
        lines += [*textwrap.wrap(paper["cite"], WIDTH), ""]
        for claim in _of_paper(ledger, paper):
            lines += [f"  {_where(claim)}  [{claim['id']}]", *_line("claim", claim["says"])]
            if "not_examined" in claim:
                lines += _line("examined", f"no: {claim['not_examined']}")
            lines += [line for model in by_model(claim) for line in _model_lines(claim, model)]
            for command in dict.fromkeys(entry["command"] for entry in claim["results"]):
                lines += _line("command", command)
            lines.append("")
    return [*lines, f"{len(ledger['claims'])} claims", ""]


def _model_lines(claim: Mapping, model: str) -> list[str]:
    """What comes out on a model, and each of its results."""
    entries = [entry for entry in claim["results"] if entry["model"] == model]
    shown = [
        ": ".join(filter(None, [entry.get("about"), entry["verdict"], _numbers(entry)]))
        for entry in entries
    ]
    if len(entries) == 1:
        return _line(model, shown[0])
    lines = [line for text in shown for line in _line("", text)]
    return [*_line(model, by_model(claim)[model]), *lines]


WIDTH = 100


def _line(what: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"    {what:<11}",
        subsequent_indent=" " * 15,
        break_on_hyphens=False,  # a command stays as it is to be typed
    )


def _where(claim: Mapping) -> str:
    """Where the claim stands, and what the audit says of the paper's own numbers for it."""
    names = ", ".join(claim.get("findings", ()))
    return claim["where"] + (f" (its own numbers: {names})" if names else "")


def _of_paper(ledger: Mapping, paper: Mapping) -> list[dict]:
    return [claim for claim in ledger["claims"] if claim["paper"] == paper["id"]]


def summary(ledger: Mapping) -> list[str]:
    """A Markdown table: of each paper, how many claims came out how, counted by model."""
    heads = ["paper", "claims", AGREES, DISAGREES, UNDECIDED, "mixed", NOT_RUN, "not examined"]
    lines = table_head(heads)
    for paper in ledger["papers"]:
        claims = _of_paper(ledger, paper)
        outcomes = Counter(outcome for claim in claims for outcome in by_model(claim).values())
        single = [outcomes.pop(o, 0) for o in (AGREES, DISAGREES, UNDECIDED)]
        single[-1] += outcomes.pop(UNCHANGED, 0)
        not_run = sum(outcomes.pop(outcome, 0) for outcome in (NOT_RUN, *STOPPED))
        unexamined = sum("not_examined" in claim for claim in claims)
        numbers = [len(claims), *single, sum(outcomes.values()), not_run, unexamined]
        lines.append(cells([paper["short"], *numbers]))
    return lines


def as_markdown(ledger: Mapping) -> str:
    """The whole ledger as a page: a table for each paper, a line for each claim and model."""
    lines = ["# What the papers claim, and what the runs here say", "", *_ABOUT]
    heads = ["claim", "where", "model", "verdict", "difference [95 %]"]
    for paper in ledger["papers"]:
        lines += ["", f"## {paper['short']}", "", f"{paper['cite']}", ""]
        lines += table_head(heads)
        for claim in _of_paper(ledger, paper):
            says, where = claim["says"], _where(claim)
            if "not_examined" in claim:
                lines.append(cells([says, where, "–", "not examined", claim["not_examined"]]))
            for entry in claim["results"]:
                model = ", ".join([entry["model"], *filter(None, [entry.get("about")])])
                numbers = _numbers(entry) or f"`{entry['command']}`"
                lines.append(cells([says, where, model, entry["verdict"], numbers]))
                says = where = ""
    return "\n".join(lines) + "\n"


_ABOUT = (
    "Each claim is read as the sign of a difference, what it names first minus the other, in "
    "shares of 1 (0.01 is a point of accuracy; on stsb a correlation). It agrees or disagrees "
    "where the 95 % interval leaves zero out. Where it can't tell, the smallest effect stands "
    "beside it that as many data would have shown in four of five cases. A seed is a training, or "
    "a draw of examples, of its own; with one, the interval is about that prompt alone. Where no "
    "prompt passed the gate, none did better than the majority class on validation beyond its "
    "interval, and nothing follows. Its own numbers: what `labkit audit` finds in the printed "
    "table alone. Every number comes from `data/reference` by `make ledger`; `labkit audit` prints "
    "the same with the command of each run.",
)


# ---- written ----


def renewed(ledger: Mapping, folder: Path = REFERENCE) -> dict:
    """The ledger with its results made again."""
    claims = [claim | {"results": results(claim, folder)} for claim in ledger["claims"]]
    return {**ledger, "claims": claims}


def as_json(value: object, indent: int = 0) -> str:
    """JSON with what fits into a line of 100 characters in one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) < 100 or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {as_json(part, indent + 2)}" for key, part in value.items()]
    else:
        parts = [as_json(part, indent + 2) for part in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return f"{left}\n{inner}" + f",\n{inner}".join(parts) + f"\n{' ' * indent}{right}"


BEGIN, END = "<!-- the ledger's summary: make ledger -->", "<!-- end of the summary -->"


def with_summary(text: str, lines: Sequence[str]) -> str:
    """A page with its summary between the two marks replaced."""
    return with_region(text, BEGIN, END, lines)


def main() -> None:
    """Write the ledger and the pages that show it, in a checkout."""
    root = FILE.parents[1]
    for name in conclude_again():
        print(f"{name}: verdicts and report made again")
    ledger = renewed(read())
    readme = root / "README.md"
    pages = {
        FILE: as_json(ledger) + "\n",
        root / "docs" / "claims.md": as_markdown(ledger),
        readme: with_summary(readme.read_text(encoding="utf-8"), summary(ledger)),
    }
    for page, text in pages.items():
        write_text(page, text)
        print(f"{page.relative_to(root)} is written")


if __name__ == "__main__":
    main()
