"""Notes: small facts that took work to find out, kept in the cache folder between sessions.

They only save time: what is missing there, damaged or can't be written is found out anew.

Usage::

    notes = Notes("fingerprints.json")
    notes.put("a file", "its sum")
    notes.get("a file")
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.core import assets
from labkit.core.files import write_text

MOST = 200
"""Entries that a file of notes keeps; older ones go."""


@dataclass(frozen=True)
class Notes:
    """A file of notes in the cache folder, by its name."""

    name: str

    @property
    def file(self) -> Path:
        return assets.cache_dir() / self.name

    def get(self, key: str) -> Any:
        """What was noted, or None."""
        return self._read().get(key)

    def put(self, key: str, value: object) -> None:
        entries = [*((k, v) for k, v in self._read().items() if k != key), (key, value)]
        try:
            write_text(self.file, json.dumps(dict(entries[-MOST:]), indent=1))
        except OSError:  # a cache that can't be written saves no time, and does no harm
            return

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
