"""The command line: `labkit VERB`, the same as `python -m labkit VERB`.

Each verb parses its options, calls one function of the package and prints what it returns. With
``--json`` standard output carries one JSON object and nothing else; progress goes to standard
error, a bar on a terminal, elsewhere a line now and then. A wrong input ends in one line,
``error: ...``, and exit code 2.

torch and transformers are imported inside the verbs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import typer

from labkit.cli import course, export, prompts, results, sort, transfer
from labkit.cli.output import WRONG_INPUT, complain, take_every_character

app = typer.Typer(
    help="Soft Prompt Lab: hard and soft prompts on frozen language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (course, prompts, sort, export, results):
    app.add_typer(part.app)  # without a name: its verbs are labkit's own
app.add_typer(transfer.app, name="transfer")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _refuse_empty(given)
    take_every_character()
    # typer brings its own copy of click, so the class is reached through typer's
    usage_error = typer.BadParameter.__base__
    try:
        code = app(given or ["--help"], prog_name="labkit", standalone_mode=False)
    except usage_error as error:
        complain(f"error: {error.format_message()} (see `labkit {_verb_of(given)}--help`)")
        code = WRONG_INPUT
    sys.exit(code or 0)


def _verb_of(arguments: Sequence[str]) -> str:
    """The verb that was meant, as far as it is known, followed by a space."""
    command, known = typer.main.get_command(app), ""
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        known += f"{word} "
    return known


def _refuse_empty(given: Sequence[str]) -> None:
    """Exit where a word is empty, which is what a shell makes of a variable that is not set."""
    for place, word in enumerate(given):
        if not word.strip() or re.fullmatch(r"--[a-z-]+=\s*", word):
            what = " ".join(part if part.strip() else repr(part) for part in given[: place + 1])
            complain(
                f"error: nothing is given in `labkit {what}`; write a value there, or leave "
                "the option out"
            )
            sys.exit(WRONG_INPUT)
