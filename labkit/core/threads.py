"""How torch's threads wait for each other; asked for before torch is imported, or it has no effect.

As it comes, GNU's OpenMP (torch's on Linux) lets a thread that waits at a barrier spin for as long
as a scheduler's slice, which on a machine that is shared (JupyterHub, a browser beside the
notebook) takes the core from whoever would do the work it waits for. Sleeping at once costs a quiet
machine a fifth of its speed, since our operations are short. A short spin, then sleep, costs
neither. ``docs/speed.md`` has what was measured.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

SPINS = 3000
"""Turns of the waiting loop before a thread sleeps; ``docs/speed.md`` has others."""
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def wait_briefly() -> None:
    """Have waiting threads sleep soon, unless the user has set one of OpenMP's own settings."""
    if not any(name in os.environ for name in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


@contextlib.contextmanager
def started_with(threads: int) -> Iterator[None]:
    """A process that is started within the block has so many threads, in every library."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = str(threads)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
