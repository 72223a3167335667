"""Digests of what made something: two things with the same one were made of the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def digest_of(parts: object) -> str:
    """16 hexadecimal digits for what JSON can say; what is None counts as not there."""
    text = json.dumps(_without_none(parts), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_none(parts: object) -> object:
    # a setting that is added later, and not used, leaves the digests of before as they are
    if isinstance(parts, Mapping):
        return {str(key): _without_none(v) for key, v in parts.items() if v is not None}
    if isinstance(parts, list | tuple):
        return [_without_none(part) for part in parts]
    return parts
