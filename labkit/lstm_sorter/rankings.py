"""One score for each virtual token: orders by rank, learnt with and without a relaxation.

- :class:`PlackettLuce` draws orders and needs values only, no gradient of the model: the score
  function (REINFORCE) with the other draws' mean as its baseline.
- :class:`SoftSorter` relaxes the sort itself: SoftSort (Prillo and Eisenschlos 2020), or NeuralSort
  (Grover et al. 2019); the gradient goes straight through, as in the other sorters.

Both hold P numbers where the LSTM sorter holds millions of weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.core.errors import LabError
from labkit.core.recipe import require_positive
from labkit.lstm_sorter.sorters import Order, Sorting, sortable, straight_through

RELAXATIONS = ("softsort", "neuralsort")


class PlackettLuce(nn.Module):
    """A distribution over orders: the next token is drawn by the softmax of those that are left.

    Attributes:
        scores: (P,) higher stands earlier; all 0 to begin with, which is the uniform distribution.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(length))

    def draw(self, count: int) -> Tensor:
        """Orders, by Gumbel noise and sorting (Yellott 1977): (count, P)."""
        noise = torch.distributions.Gumbel(0.0, 1.0).sample((count, len(self.scores)))
        return (self.scores.detach() + noise.to(self.scores)).argsort(-1, descending=True)

    def log_probability(self, orders: Tensor) -> Tensor:
        """Of each order, differentiable in the scores: (count, P) → (count,)."""
        ranked = self.scores[orders]  # (count, P)
        left = ranked.flip(-1).logcumsumexp(-1).flip(-1)  # log of the sum over those that are left
        return (ranked - left).sum(-1)

    def surrogate(self, orders: Tensor, losses: Tensor) -> Tensor:
        """A number whose gradient estimates that of the expected loss, without bias.

        Args:
            orders: (count, P) drawn from here, count at least 2; losses: (count,).
        """
        others = (losses.sum() - losses) / (len(losses) - 1)
        return ((losses - others) * self.log_probability(orders)).mean()

    def order(self) -> Order:
        """The most likely order."""
        return tuple(self.scores.argsort(descending=True, stable=True).tolist())


class SoftSorter(nn.Module):
    """The frozen prompt sorted by one learnt score for each virtual token.

    Args:
        prompt: module returning (P, D); its values are copied and never change.
        relaxation: what the gradient sees: ``softsort`` or ``neuralsort``.
        temperature: of the relaxation.

    Raises:
        LabError: for another relaxation, a temperature that is not above zero, or a prompt with
            nothing to sort.
    """

    vectors: Tensor

    def __init__(
        self,
        prompt: Callable[[], Tensor],
        *,
        relaxation: str = "softsort",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if relaxation not in RELAXATIONS:
            raise LabError(
                f"relaxation={relaxation!r} is unknown; choose one of {', '.join(RELAXATIONS)}"
            )
        self.register_buffer("vectors", sortable(prompt))
        length = len(self.vectors)
        self.scores = nn.Parameter(torch.linspace(1.0, 0.0, length))  # the given order
        require_positive("temperature", temperature)
        self.relaxation, self.temperature = relaxation, temperature

    def extra_repr(self) -> str:
        return f"relaxation={self.relaxation}, temperature={self.temperature}"

    def forward(self) -> Tensor:
        """The prompt in the order of its scores, rows exactly: (P, D)."""
        return straight_through(self.sort()) @ self.vectors

    def sort(self) -> Sorting:
        relax = soft_sort if self.relaxation == "softsort" else neural_sort
        choices = self.scores.argsort(descending=True, stable=True)
        return Sorting(choices, relax(self.scores, self.temperature))

    def order(self) -> Order:
        return tuple(self.sort().choices.tolist())


def soft_sort(scores: Tensor, temperature: float) -> Tensor:
    """softmax(−|sorted_i − s_j| / τ) over j: (P,) → (P, P), row i the i-th largest."""
    ranked = scores.sort(descending=True).values  # (P,)
    return (-(ranked[:, None] - scores[None]).abs() / temperature).softmax(-1)


def neural_sort(scores: Tensor, temperature: float) -> Tensor:
    """softmax(((P + 1 − 2i) s_j − Σ_k |s_j − s_k|) / τ) over j, i from 1: (P,) → (P, P)."""
    length = len(scores)
    apart = (scores[:, None] - scores[None]).abs().sum(1)  # (P,)
    places = length + 1 - 2 * torch.arange(1, length + 1, device=scores.device)  # (P,)
    return ((places[:, None] * scores[None] - apart[None]) / temperature).softmax(-1)
