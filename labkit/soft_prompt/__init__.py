"""Soft prompts (Lester et al. 2021): a matrix of virtual tokens, and nothing else, is trained.

    input of the frozen model:  [P; X]   with P = prompt (p, D) and X = embedded text (n, D)

This module holds the matrix itself, the ways to initialise it (section 3.1 of the paper and the
ablation of figure 3b), what it looks like from the vocabulary's side (section 7, nearest tokens),
the ledger of what is trained, and the file format, which is PEFT's: a prompt saved here opens with
`PeftModel.from_pretrained`, and one that PEFT trained opens here.

Usage::

    prompt = SoftPrompt.from_vocab(backbone, length=20, seed=0)
    prompt()                                    # (20, D)
    save_prompt("prompts/mine", prompt, model)
    prompt, card = load_prompt("prompts/mine")
"""

from __future__ import annotations

from labkit.soft_prompt.context import ContextPrompt, demonstrations
from labkit.soft_prompt.files import (
    CARD,
    CONFIG,
    PEFT_KEY,
    WEIGHTS,
    PromptCard,
    load_for,
    load_prompt,
    require_same_side,
    save_prompt,
)
from labkit.soft_prompt.module import (
    INITIALISATIONS,
    UNIFORM_BOUND,
    SoftPrompt,
    initialise,
    ledger,
)
from labkit.soft_prompt.vocabulary import (
    COMMON_ENTRIES,
    Neighbours,
    common_entries,
    nearest_tokens,
    neighbour_counts,
    random_vectors,
)
from labkit.soft_prompt.wayward import WaywardPrompt

__all__ = [
    "CARD",
    "COMMON_ENTRIES",
    "CONFIG",
    "INITIALISATIONS",
    "PEFT_KEY",
    "UNIFORM_BOUND",
    "WEIGHTS",
    "ContextPrompt",
    "Neighbours",
    "PromptCard",
    "SoftPrompt",
    "WaywardPrompt",
    "common_entries",
    "demonstrations",
    "initialise",
    "ledger",
    "load_for",
    "load_prompt",
    "nearest_tokens",
    "neighbour_counts",
    "random_vectors",
    "require_same_side",
    "save_prompt",
]
