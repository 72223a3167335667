"""Becomes a program that may use only so much: `python limited.py '{"memory": …}' PROGRAM …`.

Started by file name and with the standard library alone, so that it costs nothing. Sets the limits
of memory, of processes and of the size of a file; what a program can see and reach is not decided
here but by the doors around it (:mod:`labkit.course.marking.sandbox.doors`).
"""

from __future__ import annotations

import json
import os
import resource
import sys

LARGEST_FILE, PROCESSES = 256 << 20, 256


def main(spec: dict, program: list[str]) -> None:
    """Set the limits and become the program.

    Args:
        spec: ``memory`` in bytes, and ``processes``: whether their number is limited, which makes
            sense only where this user's other processes are not counted.
    """
    os.unsetenv("JPY_PARENT_PID")  # a number from outside, which means nothing behind doors
    if spec["processes"]:
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    resource.setrlimit(resource.RLIMIT_DATA, (spec["memory"], spec["memory"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(program[0], program)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
