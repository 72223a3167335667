"""Position enhancement: equations 1 to 7 by hand, by torch's own attention, and by what it sees."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labkit.core.errors import LabError
from labkit.position_enhancement import PositionEnhancement, sinusoids

WIDTH, LENGTH = 12, 7
CASES = [(False, False), (True, False), (False, True), (True, True)]


def build(absolute: bool, relative: bool, heads: int = 3, length: int = LENGTH):
    torch.manual_seed(0)
    return PositionEnhancement(
        WIDTH, length, heads=heads, absolute=absolute, relative=relative
    ).double()


def prompt(length: int = LENGTH) -> torch.Tensor:
    return torch.randn(length, WIDTH, generator=torch.Generator().manual_seed(1)).double()


# ---- absolute positions ----


@pytest.mark.parametrize("width", [12, 9])
def test_sinusoids_are_the_printed_ones(width):
    table = sinusoids(LENGTH, width)
    for position in range(LENGTH):
        for i in range((width + 1) // 2):
            sine = math.sin(position / 10_000 ** (2 * i / width))
            assert table[position, 2 * i].item() == pytest.approx(sine, abs=1e-5)
            if 2 * i + 1 < width:
                cosine = math.cos(position / 10_000 ** ((2 * i + 1) / width))
                assert table[position, 2 * i + 1].item() == pytest.approx(cosine, abs=1e-5)


def rotation_error(table: torch.Tensor, shift: int) -> float:
    """How far a shift is from being one linear map of each pair of columns, worst pair."""
    worst = 0.0
    for pair in table.double().split(2, dim=1):  # (P, 2)
        before, after = pair[:-shift], pair[shift:]
        mapped = before @ torch.linalg.lstsq(before, after).solution
        worst = max(worst, (mapped - after).abs().max().item())
    return worst


def test_only_vaswanis_exponents_make_a_shift_a_rotation():
    assert rotation_error(sinusoids(30, WIDTH, printed=False), shift=3) < 1e-4
    assert rotation_error(sinusoids(30, WIDTH, printed=True), shift=3) > 0.1


# ---- attention ----


@torch.no_grad()
@pytest.mark.parametrize(("absolute", "relative"), CASES)
def test_every_head_by_hand(absolute, relative):
    """Equations 4 to 7 with loops over heads, places and columns."""
    enhance, vectors = build(absolute, relative), prompt()
    inputs = vectors + sinusoids(LENGTH, WIDTH) if absolute else vectors
    weight, bias = enhance.project.weight, enhance.project.bias
    size, heads = WIDTH // 3, []
    for head in range(3):
        columns = slice(head * size, (head + 1) * size)
        q, k, v = (
            inputs @ weight[part * WIDTH : (part + 1) * WIDTH][columns].T
            + bias[part * WIDTH : (part + 1) * WIDTH][columns]
            for part in range(3)
        )
        rows = []
        for i in range(LENGTH):
            scores = []
            for j in range(LENGTH):
                score = sum(q[i, c] * k[j, c] for c in range(size))
                if relative:
                    distance = enhance.distances[(j - i) + LENGTH - 1]
                    score = score + sum(q[i, c] * distance[c] for c in range(size))
                scores.append(score)
            total = sum(math.exp(score) for score in scores)
            rows.append(sum(math.exp(scores[j]) / total * v[j] for j in range(LENGTH)))
        heads.append(torch.stack(rows))
    by_hand = enhance.output(torch.cat(heads, dim=1))
    torch.testing.assert_close(enhance(vectors), by_hand)


def test_without_positions_it_is_torchs_own_attention():
    """Torch divides the scores by sqrt(d), the print does not: its queries are made larger."""
    enhance, vectors = build(False, False), prompt()
    own = nn.MultiheadAttention(WIDTH, 3, batch_first=True).double()
    scale = torch.ones(3 * WIDTH).double()
    scale[:WIDTH] = (WIDTH / 3) ** 0.5
    with torch.no_grad():
        own.in_proj_weight.copy_(enhance.project.weight * scale[:, None])
        own.in_proj_bias.copy_(enhance.project.bias * scale)
        own.out_proj.load_state_dict(enhance.output.state_dict())
    batch = vectors[None]
    expected, weights = own(batch, batch, batch, average_attn_weights=False)
    mixed, seen = enhance.attend(vectors)
    torch.testing.assert_close(mixed, expected[0])
    torch.testing.assert_close(seen, weights[0])


def test_relative_embeddings_of_zero_change_nothing():
    enhance, blind = build(True, True), build(True, False)
    blind.load_state_dict(enhance.state_dict(), strict=False)
    nn.init.zeros_(enhance.distances)
    torch.testing.assert_close(enhance(prompt()), blind(prompt()))


# ---- what it can see ----


@pytest.mark.parametrize(("absolute", "relative"), CASES)
def test_only_the_blind_one_follows_a_permutation(absolute, relative):
    enhance, vectors = build(absolute, relative), prompt()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    difference = (enhance(vectors[order]) - enhance(vectors)[order]).abs().max().item()
    if absolute or relative:
        assert difference > 1e-2
    else:
        assert difference < 1e-12


def test_relative_positions_are_the_same_wherever_a_pattern_stands():
    """Attention over two tokens alone depends on their distance, not on where they are."""
    enhance = build(False, True, length=10)
    vectors = prompt(10)
    _, early = enhance.attend(vectors[:4])
    _, late = enhance.attend(torch.cat([vectors[4:], vectors[:4]]))
    ratio_early = early[:, 0, 1] / early[:, 0, 3]
    ratio_late = late[:, 6, 7] / late[:, 6, 9]
    torch.testing.assert_close(ratio_early, ratio_late)


def test_a_shorter_prompt_fits():
    assert build(True, True)(prompt(4)).shape == (4, WIDTH)


def test_all_its_parts_are_trained():
    enhance = build(True, True)
    enhance(prompt()).square().sum().backward()
    # a key's bias adds the same to all scores of a row, which a softmax does not see
    assert all(p.grad.abs().sum() > 0 for p in enhance.parameters())
    assert {name for name, _ in enhance.named_parameters()} == {
        "distances",
        "project.weight",
        "project.bias",
        "output.weight",
        "output.bias",
    }


def test_wrong_sizes_are_named():
    with pytest.raises(LabError, match="heads=5 do not divide the width 12"):
        PositionEnhancement(12, 7, heads=5)
    with pytest.raises(LabError, match="length=0"):
        PositionEnhancement(12, 0, heads=4)
    with pytest.raises(LabError, match=r"shape \(8, 12\).*up to 7 of width 12"):
        build(True, True)(prompt(8))
    with pytest.raises(LabError, match=r"shape \(7, 6\)"):
        build(True, True)(prompt()[:, :6])
