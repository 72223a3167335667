"""Position enhancement (the paper's section 3.1): virtual tokens are told where they stand.

    P (P, D) ──+ sinusoids──▶ P_a ──attention with relative positions──▶ P_pos (P, D)

The LSTM sorter reads ``P_pos`` to choose an order. The language model never sees it: what is put in
order is the untouched prompt (equation 15).

What the equations leave open, and what is done here:

- Exponents (equations 2 and 3). The paper prints 2i/d for the sine and (2i+1)/d for the cosine, so
  the two columns of a pair have slightly different wavelengths. Vaswani et al. 2017 use 2i/d for
  both; a shift by k positions is then one rotation, the same at every position. As printed by
  default. Positions count from 0.
- Scaling (equation 5). There is no 1/sqrt(d) in the print and none here.
- Relative embeddings (equation 5). One trained vector per signed distance j − i, of the width of a
  head and shared by all heads (as in Shaw et al. 2018); they enter the scores, not the values.
- Projections. Equation 4's Linear and equation 6's W_i follow each other with nothing in between,
  and two linear maps in a row are one: one projection each makes Q, K and V, and a head takes its
  columns.
- Nothing is added around the attention: equation 7 has neither a residual nor a normalisation.

Usage::

    enhance = PositionEnhancement(width=576, length=20)
    enhance(prompt())                                   # (20, 576)
    PositionEnhancement(576, 20, absolute=False, relative=False)  # blind: content only
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.core.errors import LabError

WAVELENGTH = 10_000.0
HEADS = 8


def sinusoids(length: int, width: int, *, printed: bool = True) -> Tensor:
    """Absolute positions PE_a of equations 2 and 3: (length, width), sines in the even columns.

    Args:
        printed: the paper's exponents; False gives those of Vaswani et al. 2017.
    """
    columns = torch.arange(width)
    exponents = columns if printed else columns - columns % 2  # (D,) 2i, 2i+1 or 2i, 2i
    angles = torch.arange(length)[:, None] / WAVELENGTH ** (exponents / width)  # (P, D)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


class PositionEnhancement(nn.Module):
    """Absolute positions, then multi-head attention with relative ones (equations 1 to 7).

    Args:
        width: D, of a virtual token; it is divided among the heads.
        length: the longest prompt that it will be given.
        absolute: add the sinusoids (equations 1 to 3).
        relative: add the relative embeddings to the attention's scores (equation 5). With both off
            the attention sees content alone, and shuffling its input only shuffles its output.

    Raises:
        LabError: if the heads don't divide the width, or for a length below one.
    """

    places: Tensor

    def __init__(
        self,
        width: int,
        length: int,
        *,
        heads: int = HEADS,
        absolute: bool = True,
        relative: bool = True,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise LabError(
                f"heads={heads} do not divide the width {width}; choose a divisor of {width}"
            )
        if length < 1:
            raise LabError(f"length={length}: there is at least one virtual token to place")
        self.width, self.length, self.heads = width, length, heads
        self.absolute, self.relative = absolute, relative
        self.project = nn.Linear(width, 3 * width)  # Q, K and V side by side
        self.output = nn.Linear(width, width)
        if relative:
            # row j − i + length − 1 is for a token that looks j − i places ahead
            self.distances = nn.Parameter(torch.empty(2 * length - 1, width // heads))
            nn.init.normal_(self.distances, std=(width // heads) ** -0.5)
        self.register_buffer("places", sinusoids(length, width), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """P_pos of P: (P, D) → (P, D)."""
        mixed, _ = self.attend(vectors)
        return mixed

    def attend(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """P_pos (P, D), and the attention's weights behind it (heads, P, P), rows summing to 1.

        Raises:
            LabError: for vectors of another width, or more of them than ``length``.
        """
        self._check(vectors)
        count = len(vectors)
        if self.absolute:
            vectors = vectors + self.places[:count]
        queries, keys, values = (
            part.view(count, self.heads, -1).transpose(0, 1)  # (P, D) → (heads, P, D/heads)
            for part in self.project(vectors).chunk(3, dim=-1)
        )
        scores = queries @ keys.transpose(1, 2)  # (heads, P, P)
        if self.relative:
            scores = scores + self._relative_scores(queries)
        weights = scores.softmax(-1)
        joined = (weights @ values).transpose(0, 1).reshape(count, -1)  # (P, D)
        return self.output(joined), weights

    def _relative_scores(self, queries: Tensor) -> Tensor:
        """The second term of equation 5: (heads, P, D/heads) → (heads, P, P)."""
        places = torch.arange(queries.shape[1], device=queries.device)
        distances = places[None] - places[:, None] + self.length - 1  # (P, P) row of j − i
        return torch.einsum("hid,ijd->hij", queries, self.distances[distances])

    def _check(self, vectors: Tensor) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.width or len(vectors) > self.length:
            raise LabError(
                f"got virtual tokens of shape {tuple(vectors.shape)}, this module takes up to "
                f"{self.length} of width {self.width}; build it with the prompt's own sizes"
            )

    def extra_repr(self) -> str:
        return (
            f"width={self.width}, length={self.length}, heads={self.heads}, "
            f"absolute={self.absolute}, relative={self.relative}"
        )
