"""How torch's threads wait for each other; asked for before torch is imported, or it has no effect.

As it comes, OpenMP lets a thread that waits at a barrier spin, which on a machine that is shared
(JupyterHub, a browser beside the notebook) takes the core from whoever would do the work it waits
for. ``docs/speed.md`` has what was measured.
"""

from __future__ import annotations

import os

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def sleep_while_waiting() -> None:
    """Have waiting threads sleep, unless the user has set one of OpenMP's own settings for that."""
    if not any(name in os.environ for name in _SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
