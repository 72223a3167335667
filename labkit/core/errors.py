"""The one error a user is meant to read.

Everything that can go wrong by a wrong input or a missing thing raises :class:`LabError` with one
line that names the input and the remedy. The command line prints that line and exits with code 2,
as it does where the system refuses a path (its rights, a full disk, a name that is too long); any
other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class LabError(Exception):
    """A wrong input or a missing thing; the message names it and says what to do about it."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
