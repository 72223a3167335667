"""Limits: how many tokens a model can read, virtual tokens included.

Three things end a text: the table of positions, the tokenizer's own limit, and the length from
which on a model reads *every* token otherwise. Some scale their rotary frequencies by the length of
the whole text (dynamic, longrope), some attend in blocks or hash buckets once a text no longer fits
into one (BigBird, Reformer), some let each place see only so many of the others, chosen among all
that stand in the batch (DeepSeek's sparse attention, Doge). Beyond that point a score would depend
on the padding of its batch and on what the model has read before, so it is the end here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import transformers
from torch import nn

WITHOUT_LIMIT = 512
"""Tokens where nothing sets a limit."""

_NAMES = ("max_position_embeddings", "max_encoder_position_embeddings", "max_seq_len")
_KEPT = ("index_topk", "keep_window_size")
"""Places that each place sees, where it does not see all before it."""

_CHUNKS = ("local_attn_chunk_length", "lsh_attn_chunk_length")


def max_length(
    model: transformers.PreTrainedModel, tokenizer: transformers.PreTrainedTokenizerBase
) -> int:
    """Positions that the model can take, virtual tokens included."""
    configs = [model.config, getattr(model.config, "encoder", None), model.config.get_text_config()]
    limits = [getattr(config, name, None) for config in configs for name in _NAMES]
    limits += _tables(model)
    limits += [limit for config in configs if config is not None for limit in _turns(config)]
    # tokenizers without a limit carry a huge number; T5's relative positions have no hard limit
    limits.append(tokenizer.model_max_length)
    known = [n for n in limits if isinstance(n, int) and 0 < n < 10**9]
    return min(known, default=WITHOUT_LIMIT)


def _tables(model: nn.Module) -> Iterator[int]:
    """Places of the tables of positions."""
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            offset = table.padding_idx  # RoBERTa's kin count positions from the padding id on
            yield table.num_embeddings - (0 if offset is None else offset + 1)


def _turns(config: Any) -> Iterator[int | None]:
    """Lengths from which on all of a text is read otherwise."""
    for rotary in _rotaries(config):
        kind = rotary.get("rope_type", "default")
        if "dynamic" in kind or kind == "longrope":
            original = rotary.get("original_max_position_embeddings")
            yield original or getattr(config, "original_max_position_embeddings", None)
    yield from (getattr(config, name, None) for name in _KEPT)
    if getattr(config, "attention_type", None) == "block_sparse":
        yield (5 + 2 * config.num_random_blocks) * config.block_size  # up to there it is in full
    if hasattr(config, "attn_layers"):
        yield from (getattr(config, name, None) for name in _CHUNKS)


def _rotaries(config: Any) -> list[Mapping]:
    """Settings of the rotary frequencies: one set for all layers, or one for each kind of layer."""
    given = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in given.values() if isinstance(value, Mapping)]
    return nested or [given]
