"""Backbones that the rows of a table share."""

from __future__ import annotations

import functools
import re

import torch
from transformers import AutoModel

from labkit.core.backbones import Backbone
from labkit.core.loading import config_of, load_backbone


@functools.lru_cache(maxsize=2)  # the rows of a table share their model
def shared_backbone(name: str, dtype: torch.dtype | None = None) -> Backbone:
    """A frozen backbone, loaded once for all rows of this process."""
    return load_backbone(name, dtype=dtype)


def short(backbone: str) -> str:
    """The last part of a Hub id or path, one of Windows too."""
    return re.split(r"[/\\]", backbone.rstrip("/\\"))[-1]


def parameter_count(name: str) -> int:
    """How many parameters a model has, from its configuration: no weights are read."""
    with torch.device("meta"):
        empty = AutoModel.from_config(config_of(name))
    return sum(parameter.numel() for parameter in empty.parameters())
