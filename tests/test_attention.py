"""Attention in plain products, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from labkit.core.attention import PLAIN, attend, use_plain_products
from labkit.core.loading import load_backbone

HEADS, LENGTH, PLACES, SIZE = 6, 5, 9, 8


def vectors(groups: int) -> list[torch.Tensor]:
    """Query, key and value of two texts in double precision, which gradcheck asks for."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(HEADS, LENGTH), (groups, PLACES), (groups, PLACES)]
    return [
        torch.randn(2, *shape, SIZE, generator=draw, dtype=torch.double, requires_grad=True)
        for shape in shapes
    ]


def after_a_shared_part() -> torch.Tensor:
    """Mask of a causal model that continues after ``PLACES − LENGTH`` places: (2, 1, T, K)."""
    seen = torch.ones(LENGTH, PLACES, dtype=torch.bool).tril(PLACES - LENGTH)
    mask = torch.zeros(2, 1, LENGTH, PLACES, dtype=torch.double)
    return mask.masked_fill(~seen, torch.finfo(torch.double).min)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("scaling", [None, 1.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_it_is_torchs_attention(groups, scaling, masked, biased):
    query, key, value = vectors(groups)
    mask = after_a_shared_part() if masked else None
    bias = torch.randn(1, HEADS, LENGTH, PLACES, dtype=torch.double) if biased else None
    added = [x for x in (mask, bias) if x is not None]
    ours, _ = attend(None, query, key, value, mask, scaling=scaling, position_bias=bias)
    theirs = F.scaled_dot_product_attention(
        query, key, value, sum(added) if added else None, scale=scaling, enable_gqa=True
    )
    torch.testing.assert_close(ours, theirs.transpose(1, 2))


def test_its_gradient_is_that_of_finite_differences():
    mask = after_a_shared_part()
    assert torch.autograd.gradcheck(lambda *qkv: attend(None, *qkv, mask)[0], vectors(3))


def test_dropout_drops_shares_of_attention():
    """With one value per place, what arrives is the kept shares' sum: its mean stays 1."""
    query, key, _ = vectors(3)
    ones = torch.ones(2, 3, PLACES, SIZE, dtype=torch.double)
    torch.manual_seed(0)
    kept = torch.stack([attend(None, query, key, ones, None, dropout=0.5)[0] for _ in range(200)])
    assert kept.std() > 0.1
    assert abs(float(kept.detach().mean()) - 1) < 0.02
    torch.testing.assert_close(
        attend(None, query, key, ones, None)[0], ones.new_ones(2, LENGTH, HEADS, SIZE)
    )


def test_models_on_the_cpu_take_it_unless_they_need_another(tiny_folder):
    model = load_backbone(str(tiny_folder("llama")), device="cpu").model
    assert model.config._attn_implementation == PLAIN
    model.set_attn_implementation("eager")
    use_plain_products(model)
    assert model.config._attn_implementation == "eager"
