"""Soft Prompt Lab: how continuous prompts steer a frozen language model.

The names below are the public surface; each is loaded when it is first used, so that the command
line answers at once instead of importing torch to print its help.
"""

from __future__ import annotations

import importlib

from labkit.core.threads import wait_briefly

wait_briefly()  # before anything imports torch

_HOME = {
    "load_backbone": "labkit.core.loading",
    "load_task": "labkit.core.tasks",
    "Template": "labkit.core.templates",
    "Verbalizer": "labkit.core.templates",
    "PromptedModel": "labkit.core.prompted_model",
    "evaluate": "labkit.core.prompted_model",
    "fit": "labkit.core.tuning",
    "LabError": "labkit.core.errors",
    "PromptEncoder": "labkit.p_tuning",
    "SoftPrompt": "labkit.soft_prompt",
    "load_prompt": "labkit.soft_prompt",
    "save_prompt": "labkit.soft_prompt",
    "Shuffle": "labkit.shuffle_probe",
    "probe_order": "labkit.shuffle_probe",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
