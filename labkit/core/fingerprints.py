"""Fingerprints: which weights a local folder holds, whatever it is called and wherever it lies.

A default model is known by its pinned version and a Hub model by its commit; a folder has neither,
and its name says little: every trainer writes a ``checkpoint-500``. Its fingerprint is made of its
configuration and of all bytes of its weight files. A file is read once (about two seconds per
gigabyte); the sums of large ones are remembered in the cache folder by size and time of change.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from labkit.core import assets, masked_head
from labkit.core.notes import Notes

LOCAL = "weights-"
"""How the revision of a local model begins."""

LARGE = 64 * 2**20
"""Bytes from which on a file's sum is remembered."""

_SUMS = Notes("fingerprints.json")
_SAYS_NOTHING = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
"""Entries of a configuration that differ between two copies of one model."""


def weights_fingerprint(folder: Path) -> str:
    """``weights-`` and 16 digits: equal for equal configuration and weights, copies included."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = {name: value for name, value in config.items() if name not in _SAYS_NOTHING}
    total = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for file in _weight_files(folder):
        total.update(f"\n{file.name} {sum_of(file)}".encode())
    return LOCAL + total.hexdigest()[:16]


def known_revision(name: str, revision: str | None = None) -> str:
    """The revision that a backbone of this name would have, without loading it or asking the
    network; empty where that can't be known here.

    Args:
        name: a default model, a folder, or a Hub id, which must be in the Hub's cache.
    """
    if name in assets.MODELS:
        return assets.ASSETS[name].version
    folder = masked_head.BUNDLED.get(name, Path(name))
    if (folder / "config.json").is_file():
        return weights_fingerprint(folder)
    return _cached_commit(name, revision)


def _cached_commit(name: str, revision: str | None) -> str:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        file = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:  # no Hub id
        return ""
    return Path(file).parent.name if isinstance(file, str) else ""


def _weight_files(folder: Path) -> list[Path]:
    """What Hugging Face's loader reads: safetensors where there are any."""
    for pattern in ("model*.safetensors", "*.safetensors", "pytorch_model*.bin", "*.bin"):
        files = sorted(folder.glob(pattern))
        if files:
            return files
    return []


def sum_of(file: Path) -> str:
    """sha256 of a file; that of a large one is read once and remembered."""
    about = file.stat()
    if about.st_size < LARGE:
        return _sha256(file)
    key = f"{file.resolve()} {about.st_ino} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"
    known = _SUMS.get(key)
    if not isinstance(known, str):
        known = _sha256(file)
        _SUMS.put(key, known)
    return known


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
