"""Attention in plain matrix products, which on a CPU outrun torch's fused kernel.

The fused kernel spares memory that short texts do not need, and multiplies blocks too small for a
CPU's bf16 units. Plain products take about two thirds of its time forwards and less of it
backwards, and query heads that share their keys and values are one product. The scores are the
same up to rounding; the tests hold them against Hugging Face's own attention.
"""

from __future__ import annotations

import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

PLAIN = "plain-products"
"""The name under which Hugging Face's models find it."""


def use_plain_products(model: transformers.PreTrainedModel) -> None:
    """Let a model attend in plain products, if the fused kernel is what it would take itself.

    A model whose attention needs more than that kernel offers keeps its own.
    """
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(PLAIN)


def attends_in_plain_products(model: transformers.PreTrainedModel) -> bool:
    """Whether :func:`use_plain_products` is in effect."""
    return model.config._attn_implementation == PLAIN


def use_fused_kernel(model: transformers.PreTrainedModel) -> None:
    """Take :func:`use_plain_products` back; a model that attends in another way keeps it."""
    if attends_in_plain_products(model):
        model.set_attn_implementation("sdpa")


def attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention, as Hugging Face's models call it: (B, T, H, d).

    Args:
        query: (B, H, T, d).
        key, value: (B, G, K, d); each of the G heads serves H/G heads of the query.
        attention_mask: (B, 1, T, K), added to the scores; None where every place is attended to.
        scaling: factor on the scores, by default 1/√d; T5 takes 1.
        position_bias: (1, H, T, K), added to the scores (T5).
    """
    batch, heads, length, size = query.shape
    groups, places = key.shape[1:3]
    scaled = query * (size**-0.5 if scaling is None else scaling)
    rows = scaled.reshape(batch * groups, -1, size)  # (B, H, T, d) → (B·G, H/G·T, d)
    keys, values = (x.reshape(batch * groups, places, size) for x in (key, value))  # (B·G, K, d)
    scores = (rows @ keys.mT).view(batch, heads, length, places)  # (B·G, H/G·T, K) → (B, H, T, K)
    for added in (attention_mask, position_bias):
        scores = scores if added is None else scores + added
    shares = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    attended = shares.view(batch * groups, -1, places) @ values  # (B·G, H/G·T, d)
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(PLAIN, attend)
AttentionMaskInterface.register(PLAIN, eager_mask)
