"""What the verbs print: results on standard output, errors on standard error."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from labkit.core.errors import LabError

if TYPE_CHECKING:
    from labkit.core.prompted_model import Evaluation

WRONG_INPUT, INTERRUPTED = 2, 130

_OF_THE_PLACE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),  # rights
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO),  # the disk
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),  # the path
)
"""What the system refuses because of a path that was given, and not because of a defect here."""

AGAIN = "stopped; the same command with --resume keeps the finished rows and runs the others"


@contextlib.contextmanager
def verb(as_json: bool, interrupted: str = "stopped") -> Iterator[None]:
    """Errors as one line and an exit code; with ``--json`` no library can write to stdout."""
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            yield
    except LabError as error:
        complain(f"error: {error}")
        raise typer.Exit(WRONG_INPUT) from error
    except OSError as error:
        if error.filename is None or error.errno not in _OF_THE_PLACE:
            raise
        complain(
            f"error: {error.filename} can't be used ({error.strerror}); give another path, or make "
            "room or change the rights there"
        )
        raise typer.Exit(WRONG_INPUT) from error
    except KeyboardInterrupt as error:
        complain(interrupted)
        raise typer.Exit(INTERRUPTED) from error


def complain(text: object) -> None:
    print(" ".join(str(text).split()), file=sys.stderr)


def show(result: Mapping[str, Any], lines: Sequence[str], as_json: bool) -> None:
    if as_json:
        in_full = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
        lines = [json.dumps(finite(result), ensure_ascii=not in_full)]
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # nobody reads on, as behind `| head`
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # or what is left would be tried again, and told of, at the end
        complain(f"error: standard output can't be written ({error.strerror}); make room there")
        raise typer.Exit(WRONG_INPUT) from error


def take_every_character() -> None:
    """Have standard output write what its encoding lacks as ``\\u2212``, as standard error does.

    A pipe or a file on Windows takes the characters of one region, where a minus sign or an arrow
    would end the verb after its work.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # not what a notebook or a test puts in its place
        sys.stdout.reconfigure(errors="backslashreplace")


def finite(value: object) -> object:
    """The same without NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_row(result: Evaluation) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": list(result.ci95),
        "majority": result.majority,
        "n": result.n,
        "shortened": result.shortened,
    }


def score_lines(scores: Mapping[str, Any]) -> list[str]:
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


def table_lines(result: Mapping[str, object]) -> list[str]:
    return [
        f"{key:<22}{value:.3f}" if isinstance(value, float) else f"{key:<22}{value}"
        for key, value in result.items()
    ]
