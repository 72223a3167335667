"""A masked language model kept as what it adds to a text encoder: a low-rank change and a head.

``minilm-mlm`` comes with labkit: MiniLM's body, changed so that it predicts words, and a head.
`labkit assets make minilm-mlm` trains such a folder (training.py) on texts that no task is scored
with (texts.py), and :func:`labkit.core.loading.load_backbone` reads it (storage.py).

Usage::

    load_backbone("minilm-mlm")
    load_backbone("a folder that `labkit assets make` wrote")
"""

from labkit.core.masked_head.storage import (
    BUNDLED,
    body_folder,
    holds_masked_head,
    load_masked_lm,
    save_masked_head,
)

__all__ = [
    "BUNDLED",
    "body_folder",
    "holds_masked_head",
    "load_masked_lm",
    "save_masked_head",
]
