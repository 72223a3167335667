"""Modules that learn an order: the LSTM sorter (the paper's sections 3.2 and 3.3), and Sinkhorn's.

    P ──encoder LSTM──▶ En_out, En_hid ──decoder + prompt-selection gate──▶ Order (P, P)
    P_order = one-hot(argmax Order) · P                                   (equations 12 to 15)

The prompt is frozen: only its order is learnt. What the print leaves open, and what is done here:

- Equation 8. The decoder starts from the encoder's last output as its input and from the encoder's
  last state as its own. The hidden size is the width D of a virtual token, so that the chosen token
  can be the next input as it is.
- Equation 9. "Attention" is the product of the encoder's outputs with a linear map of h_i.
- Equation 11. The chosen token that is fed on is a row of what the sorter reads (P_pos with
  position enhancement). Argmax lets no gradient through: a choice counts as fixed.
- Equations 11 to 13. Nothing forbids to choose a token again, so the result need not be a
  permutation. Mode ``printed`` leaves it so; mode ``permutation`` masks what has been chosen.
- Equation 14 is printed with the opposite sign, which would climb the loss; see
  :func:`straight_through`.
- Equation 15's P is the original prompt; the enhanced one only serves to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core.errors import LabError
from labkit.core.modes import evaluating
from labkit.core.recipe import require_positive
from labkit.position_enhancement import PositionEnhancement

MODES = ("permutation", "printed")

Order = tuple[int, ...]
"""Place i takes row ``order[i]`` of the prompt."""


def is_permutation(order: Order) -> bool:
    """Whether no virtual token is taken twice."""
    return len(set(order)) == len(order)


class Sorting(NamedTuple):
    """What the gate decided.

    Attributes:
        choices: (P,) index of the virtual token chosen for each place.
        probabilities: (P, P) row i is O_i, over the virtual tokens (equation 10).
    """

    choices: Tensor
    probabilities: Tensor


class LSTMSorter(nn.Module):
    """A module around a frozen prompt whose ``forward()`` is that prompt in a learnt order.

    Starts from random weights (torch's random state), so from an arbitrary order.

    Args:
        prompt: module returning (P, D); its values are copied and never change.
        mode: ``permutation``: a chosen token can't be chosen again; ``printed``: it can.
        positions: position enhancement for what the sorter reads; None: it reads the prompt.
        temperature: divides the gate's scores. A fresh gate is nearly undecided: its entropy is
            that of a uniform choice to four digits.

    Raises:
        LabError: for an unknown mode, a temperature that is not above zero, or a prompt with
            nothing to sort.
    """

    vectors: Tensor

    def __init__(
        self,
        prompt: Callable[[], Tensor],
        *,
        mode: str = "permutation",
        positions: PositionEnhancement | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise LabError(f"mode={mode!r} is unknown; choose one of {', '.join(MODES)}")
        self.register_buffer("vectors", sortable(prompt))
        width = self.vectors.shape[1]
        require_positive("temperature", temperature)
        self.mode, self.positions, self.temperature = mode, positions, temperature
        self.encoder = nn.LSTM(width, width, batch_first=True)
        self.decoder = nn.LSTMCell(width, width)
        self.gate = nn.Linear(width, width, bias=False)

    def extra_repr(self) -> str:
        return f"mode={self.mode}, temperature={self.temperature}"

    def forward(self) -> Tensor:
        """P_order, rows of the frozen prompt exactly: (P, D)."""
        return self.one_hot(self.sort()) @ self.vectors

    def order(self) -> Order:
        with torch.no_grad():
            return tuple(self.sort().choices.tolist())

    def sort(self, choices: Tensor | None = None) -> Sorting:
        """Run encoder and decoder (equations 8 to 11).

        Args:
            choices: (P,) take these instead of the argmax: the soft relaxation around them.
        """
        rows = self.vectors if self.positions is None else self.positions(self.vectors)  # (P, D)
        encoded, (hidden, memory) = self.encoder(rows[None])  # (1, P, D), (1, 1, D) twice
        encoded, state = encoded[0], (hidden[0], memory[0])
        chosen: list[Tensor] = []
        probabilities: list[Tensor] = []
        step_input = encoded[-1:]  # (1, D)
        free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        for place in range(len(rows)):
            state = self.decoder(step_input, state)
            selected = self.select(encoded, state[0], free)  # (P,)
            choice = selected.argmax() if choices is None else choices[place]
            if self.mode == "permutation":
                free = free.index_fill(0, choice, False)
            step_input = rows[choice][None]
            chosen.append(choice)
            probabilities.append(selected)
        return Sorting(torch.stack(chosen), torch.stack(probabilities))

    def select(self, encoded: Tensor, hidden: Tensor, free: Tensor) -> Tensor:
        """The prompt-selection gate (equations 9 and 10).

        Args:
            encoded: (P, D) the encoder's outputs; hidden: (1, D) h_i; free: (P,) may be chosen.

        Returns:
            O_i (P,), summing to 1, zero where not free.
        """
        scores = encoded @ self.gate(hidden)[0] / self.temperature  # (P,)
        return scores.masked_fill(~free, -math.inf).softmax(-1)

    def one_hot(self, sorting: Sorting) -> Tensor:
        """O_h of equations 13 and 14: (P, P)."""
        return straight_through(sorting)


def straight_through(sorting: Sorting) -> Tensor:
    """Exactly one-hot going forward, the gradient of the probabilities going back: (P, P).

    Equation 14 is printed as O_h + detach(Order) − Order, whose gradient has the opposite sign. The
    difference is taken first: (O_h + Order) − Order would round, and not be one-hot to the bit.
    """
    order = sorting.probabilities
    return _one_hot(sorting.choices, order) + (order - order.detach())


class SinkhornSorter(nn.Module):
    """Gumbel–Sinkhorn (Mena et al. 2018): a free (P, P) matrix instead of a network.

    Noise is added to it in training; repeated normalisation of rows and columns makes it nearly
    doubly stochastic; the Hungarian method rounds it to a permutation, and the gradient goes
    straight through to the soft matrix.

    Args:
        prompt: as in :class:`LSTMSorter`.
        temperature: divides the matrix, with and without noise.
        rounds: normalisations of rows and columns.
    """

    vectors: Tensor

    def __init__(
        self, prompt: Callable[[], Tensor], *, temperature: float = 0.5, rounds: int = 20
    ) -> None:
        super().__init__()
        self.register_buffer("vectors", sortable(prompt))
        self.scores = nn.Parameter(torch.zeros(len(self.vectors), len(self.vectors)))
        require_positive("temperature", temperature)
        self.temperature, self.rounds = temperature, rounds

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, rounds={self.rounds}"

    def forward(self) -> Tensor:
        """The prompt in a drawn order (training) or in the best one (evaluation): (P, D)."""
        return straight_through(self.sort()) @ self.vectors

    def order(self) -> Order:
        """The best order, without noise."""
        with torch.no_grad():
            return tuple(_assigned(self.scores).tolist())

    def sort(self) -> Sorting:
        scores = self.scores
        if self.training:
            scores = scores + torch.distributions.Gumbel(0.0, 1.0).sample(scores.shape).to(scores)
        return Sorting(_assigned(scores), sinkhorn(scores / self.temperature, self.rounds))


def sinkhorn(scores: Tensor, rounds: int) -> Tensor:
    """Rows and columns of exp(scores) normalised in turn: (P, P), columns summing to 1."""
    for _ in range(rounds):
        scores = scores - scores.logsumexp(1, keepdim=True)
        scores = scores - scores.logsumexp(0, keepdim=True)
    return scores.exp()


def _assigned(scores: Tensor) -> Tensor:
    """The permutation with the largest sum of scores, (P,) column of each row."""
    _, columns = linear_sum_assignment(scores.detach().float().cpu().numpy(), maximize=True)
    return torch.tensor(columns, device=scores.device)


def _one_hot(choices: Tensor, like: Tensor) -> Tensor:
    return F.one_hot(choices, like.shape[-1]).to(like.dtype)


def sortable(prompt: Callable[[], Tensor]) -> Tensor:
    """The virtual tokens (P, D) of a prompt that has more than one order.

    Raises:
        LabError: for a single virtual token.
    """
    with torch.no_grad(), evaluating(prompt):
        vectors = prompt().clone()
    require_sortable(vectors)
    return vectors


def require_sortable(vectors: Tensor) -> None:
    if len(vectors) < 2:
        raise LabError(
            f"a prompt of {len(vectors)} virtual token has one order only; give at least 2"
        )
