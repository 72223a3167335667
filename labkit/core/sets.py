"""Virtual tokens as a set: a model that can't tell in which order they stand.

Without positions an encoder already answers alike in every order, up to rounding. A causal model
does not: its mask lets each virtual token see those before it, which orders them. As a set, virtual
tokens stand at one position and each sees what stands in front of all of them, and itself, but no
other virtual token; words see all of them, as ever.

                      v₁ v₂ v₃ w₁ w₂
    virtual token v₁   ●
                  v₂      ●
                  v₃         ●
    word          w₁   ●  ●  ●  ●
                  w₂   ●  ●  ●  ●  ●

That the answer is the same to the last bit takes one thing more, because sums of rounded numbers
depend on the order of their terms: before the model reads them, the rows are brought into an order
of their own, by their bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from labkit.core import positions
from labkit.core.errors import LabError
from labkit.core.sequences import Batch
from labkit.core.templates import Soft, Template

if TYPE_CHECKING:
    from labkit.core.backbones import Backbone
    from labkit.core.readouts import CausalBackbone

SET: Literal["set"] = "set"
Positions = bool | Literal["set"]
"""What virtual tokens get: positions, none, or none and no other order either."""

POSITIONS: tuple[Positions, ...] = (True, False, SET)
COUNT = 6
"""Virtual tokens that a model is tried with."""

ALIKE = 1e-3
"""Largest change by another order, as a share of the change that it makes with positions."""


def in_canonical_order(vectors: Tensor) -> Tensor:
    """The same rows in an order that depends on what they are, not on where they stood: (P, D), or
    (M, P, D) of several prompts."""
    if vectors.dim() == 3:
        return torch.stack([in_canonical_order(prompt) for prompt in vectors])
    return vectors[_canonical_order(vectors)]


def _canonical_order(vectors: Tensor) -> Tensor:
    """Which row of (P, D) comes first, second, …: (P,)."""
    rows = vectors.detach().float().cpu().numpy()
    order = sorted(range(len(rows)), key=lambda row: rows[row].tobytes())
    return torch.tensor(order, device=vectors.device)


def at_own_slots(shares: Tensor, ids: Tensor, vectors: Tensor) -> Tensor:
    """What a model says of each place, with that of each virtual token at the slot of its own row.

    Args:
        shares: (B, …, T), of rows that were read in canonical order; ids: (B, T), −1−r for row r;
            vectors: (P, D).
    """
    batch, place = (ids < 0).nonzero(as_tuple=True)  # (S,), S slots in the batch
    row = -1 - ids[batch, place]
    slot_of = ids.new_zeros(len(ids), len(vectors))  # (B, P)
    slot_of[batch, row] = place
    rank = _canonical_order(vectors).argsort()  # (P,): where each row came to stand
    source = torch.arange(ids.shape[1], device=ids.device).repeat(len(ids), 1)  # (B, T)
    source[batch, place] = slot_of[batch, rank[row]]
    between = [1] * (shares.dim() - 2)
    return shares.gather(-1, source.view(len(ids), *between, -1).expand_as(shares))


def seen(ids: Tensor, present: Tensor, dtype: torch.dtype) -> Tensor:
    """What each place of a causal model sees, virtual tokens being a set: (B, 1, T, T).

    Args:
        ids: (B, T), negative for virtual tokens; present: (B, T), 0 for padding.

    Returns:
        0 where a place is seen, else the lowest number of ``dtype``, to be added to the scores.
    """
    length = ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()  # (T, T)
    itself = torch.eye(length, dtype=torch.bool, device=ids.device)
    virtual = ids < 0
    both = virtual[:, :, None] & virtual[:, None, :]  # (B, T, T)
    visible = causal & (present[:, None, :] > 0) & (~both | itself) | itself
    hidden = torch.finfo(dtype).min
    return torch.zeros(visible.shape, dtype=dtype, device=ids.device).masked_fill(~visible, hidden)[
        :, None
    ]


def require_one_block(template: Template, readout: str) -> None:
    """Whether a causal model can read this template's virtual tokens as one set.

    Raises:
        LabError: where some stand before words that others stand behind.
    """
    blocks = sum(isinstance(part, Soft) for part in template.parts)
    if readout == "causal" and blocks > 1:
        raise LabError(
            f"template {template.text!r} has virtual tokens in {blocks} places, and a causal "
            "model's see only what stands before them; as a set they need one block: {soft}"
        )


def check_readable(backbone: Backbone) -> None:
    """Whether this view, whose virtual tokens are a set, answers alike in every order of them.

    Raises:
        LabError: for a model that does not, or has positions that can't be left out.
    """
    backbone.with_positions(False)  # raises where its positions stay
    if backbone.readout != "causal":
        return  # and forgets the order with them
    if SET not in backbone.removable:
        with torch.no_grad(), positions.in_fp32(backbone.model):
            causal: Any = backbone
            backbone.removable[SET] = _is_readable(causal)
    if not backbone.removable[SET]:
        raise LabError(
            f"{backbone.name} can't be told which places see each other, so that it reads virtual "
            "tokens in order only; take positions=True, or a model of the GPT or Llama families"
        )


def _is_readable(backbone: CausalBackbone) -> bool:
    with contextlib.suppress(AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return _takes_a_mask(backbone) and _forgets_the_order(backbone)
    return False


def _takes_a_mask(backbone: CausalBackbone) -> bool:
    """Words under the plain causal mask, given in full, are read as without it: also where a model
    looks back through a window, which such a mask would open."""
    window = getattr(backbone.text_config, "sliding_window", None) or 0
    count = min(max(2 * COUNT, window + COUNT), backbone.max_length)
    ids = torch.tensor([backbone.ordinary_ids(count)], device=backbone.device)
    given = seen(ids, torch.ones_like(ids), backbone.dtype)
    theirs = backbone.model(input_ids=ids).logits
    return positions.close(backbone.model(input_ids=ids, attention_mask=given).logits, theirs)


def _forgets_the_order(backbone: CausalBackbone) -> bool:
    """Other slots for the same rows change next to nothing, where with positions they do, and
    where other rows do."""
    words = backbone.ordinary_ids(COUNT)
    slots = [-1 - row for row in range(COUNT)]
    vectors = backbone.embed(torch.tensor(words, device=backbone.device))  # (P, D)
    others = vectors.roll(1, dims=1)
    labels = [(word,) for word in words]

    def scores(view: Backbone, places: Sequence[int], rows: Tensor) -> Tensor:
        ids = torch.tensor([[*places, *words]], device=backbone.device)
        last = torch.tensor([ids.shape[1] - 1], device=backbone.device)
        return view.word_scores(Batch(ids, torch.ones_like(ids), last), rows, labels)

    def changes(view: Backbone) -> tuple[float, float]:
        """By another order, and by other rows."""
        plain = scores(view, slots, vectors)
        moved = (scores(view, slots[::-1], vectors), scores(view, slots, others))
        turned, replaced = ((changed - plain).abs().max().item() for changed in moved)
        return turned, replaced

    with_positions, _ = changes(backbone.with_positions(True))
    turned, replaced = changes(backbone)
    return replaced > 0 and with_positions > 0 and turned <= ALIKE * min(with_positions, replaced)
