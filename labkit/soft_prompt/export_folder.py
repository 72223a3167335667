"""Folders of exported models: what an export wrote there, so that it replaces nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.fingerprints import sum_of
from labkit.soft_prompt.files import CARD

_WRITTEN = "exported_files"


def write_card(folder: Path) -> None:
    """Note the files of a finished export, each with its sha256, in its ``labkit.json``."""
    sums = {file.name: sum_of(file) for file in sorted(folder.iterdir()) if file.is_file()}
    text = json.dumps({_WRITTEN: sums}, indent=2) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def check_replaceable(folder: Path) -> None:
    """Whether an export may take this place: that of an earlier one as it was written, or none.

    Raises:
        LabError: for a file, or a folder that holds anything else: other files, or files of an
            export that were changed since.
    """
    if folder.exists() and not folder.is_dir():
        raise LabError(f"{folder} is a file; name a folder for the exported model")
    if not folder.is_dir():
        return
    written = _written(folder)
    others = [
        file.name
        for file in sorted(folder.iterdir())
        # names first: the sum of a large file takes seconds
        if file.name not in written or not file.is_file() or sum_of(file) != written[file.name]
    ]
    if written:
        others.remove(CARD)  # it can't name itself
    if others:
        raise LabError(
            f"{folder} holds other files than an unchanged export's ({', '.join(others[:3])}); "
            "choose another folder, or remove this one"
        )


def _written(folder: Path) -> dict[str, str]:
    """File → sha256, as an export noted them; empty for any other folder."""
    try:
        return dict(json.loads((folder / CARD).read_text(encoding="utf-8"))[_WRITTEN])
    except (OSError, ValueError, KeyError, TypeError):  # no card, or one that says something else
        return {}
