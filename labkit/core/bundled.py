"""Where labkit's own data are: ``data/`` of a checkout, ``labkit/data`` of an installed wheel.

Usage::

    bundled("paper", "table1.json")
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDER = next(
    (folder for folder in (_PACKAGE / "data", _PACKAGE.parent / "data") if folder.is_dir()),
    _PACKAGE / "data",
)


def bundled(*names: str) -> Path:
    """A file or folder of the data that come with labkit; nothing is read or checked."""
    return _FOLDER.joinpath(*names)
