"""The LSTM sorter (the paper's sections 3.2 and 3.3), and the searches that it has to beat.

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

Searches share one interface (:func:`find_order`) and one budget, counted in forward passes of the
backbone: one sentence through the model is one pass, whether or not keys and values were shared,
and a backward pass counts as one more (with frozen weights it does about a forward pass's work).

Usage::

    sorter = LSTMSorter(prompt, mode="permutation", positions=PositionEnhancement(576, 20))
    fit(model, sorter, task, lr=1e-3)             # trains the sorter; prompt and backbone stay
    evaluate(model, sorter, task)
    save_prompt("sorted", sorter, model)          # folded into a plain prompt
    search(model, prompt, task, "swap", budget=57_600)
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate, for_classes
from labkit.core.tasks import Task
from labkit.core.tuning import epoch_batches, targets
from labkit.position_enhancement import PositionEnhancement
from labkit.soft_prompt import SoftPrompt

MODES = ("permutation", "printed")

Order = tuple[int, ...]
"""Place i takes row ``order[i]`` of the prompt."""


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

    Raises:
        LabError: for an unknown mode, or a prompt with nothing to sort.
    """

    def __init__(
        self,
        prompt: nn.Module,
        *,
        mode: str = "permutation",
        positions: PositionEnhancement | None = None,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise LabError(f"mode={mode!r} is unknown; choose one of {', '.join(MODES)}")
        self.register_buffer("vectors", _sortable(prompt))
        width = self.vectors.shape[1]
        self.mode, self.positions = mode, positions
        self.encoder = nn.LSTM(width, width, batch_first=True)
        self.decoder = nn.LSTMCell(width, width)
        self.gate = nn.Linear(width, width, bias=False)

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
        scores = encoded @ self.gate(hidden)[0]  # (P,)
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

    def __init__(self, prompt: nn.Module, *, temperature: float = 0.5, rounds: int = 20) -> None:
        super().__init__()
        self.register_buffer("vectors", _sortable(prompt))
        self.scores = nn.Parameter(torch.zeros(len(self.vectors), len(self.vectors)))
        self.temperature, self.rounds = temperature, rounds

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


def _sortable(prompt: nn.Module) -> Tensor:
    vectors = prompt().detach().clone()
    if len(vectors) < 2:
        raise LabError(
            f"a prompt of {len(vectors)} virtual token has one order only; give at least 2"
        )
    return vectors


# ---- what is searched for ----


class Objective:
    """A loss that depends on the order of ``vectors``, and what has been spent on it.

    Subclasses say what the loss is. Costs are in forward passes: ``size`` for an evaluation, twice
    that for its gradient, ``2 * batch_size`` for a training step.

    Attributes:
        vectors: (P, D) in the order given; size: sentences of an evaluation; batch_size: those of a
            training step; spent: forward passes so far.
    """

    vectors: Tensor
    size: int
    batch_size: int
    spent: int = 0

    def loss(self, vectors: Tensor) -> Tensor:
        """Mean loss over the fixed sample, differentiable in ``vectors`` (P, D)."""
        raise NotImplementedError

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        """Mean loss over the sentences of a training step."""
        raise NotImplementedError

    def evaluate(self, order: Sequence[int]) -> float:
        self.spent += self.size
        with torch.no_grad():
            return self.loss(self.vectors[list(order)]).item()

    def gradient(self, order: Sequence[int]) -> Tensor:
        """Gradient of the loss with respect to the sorted rows: (P, D)."""
        self.spent += 2 * self.size
        rows = self.vectors[list(order)].requires_grad_()
        return torch.autograd.grad(self.loss(rows), rows)[0]

    def training_loss(self, vectors: Tensor, step: int) -> Tensor:
        self.spent += 2 * self.batch_size
        return self.batch_loss(vectors, step)


class PromptLoss(Objective):
    """Cross entropy of a prompt's answers on training sentences.

    Orders are compared on one seeded sample of ``sentences``; training steps go through the whole
    train split in batches, as in :func:`labkit.fit`.
    """

    def __init__(
        self,
        model: PromptedModel,
        prompt: nn.Module,
        task: Task,
        *,
        sentences: int = 96,
        batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        self.model, self.task, self.seed = for_classes(model, task), task, seed
        with torch.no_grad():
            self.vectors = model.vectors(prompt).clone()
        examples = task.take("train", sentences, seed=seed)
        self.sequences = self.model.encode(examples, self.vectors)
        self.targets = targets(examples, task)
        self.labels = self.model.labels()
        self.size, self.batch_size = len(examples), batch_size

    @functools.cached_property
    def _train(self) -> tuple[list, Tensor]:
        examples = self.task.split("train")
        return self.model.encode(examples, self.vectors), targets(examples, self.task)

    def loss(self, vectors: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self._loss(self.sequences, self.targets, vectors)
        scores = scoring.score(self.model.backbone, self.sequences, vectors, self.labels)
        return F.cross_entropy(scores, self.targets)

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        sequences, wanted = self._train
        epoch, index = divmod(step, math.ceil(len(sequences) / self.batch_size))
        rows = epoch_batches(len(sequences), self.batch_size, self.seed, epoch)[index]
        return self._loss([sequences[row] for row in rows], wanted[rows], vectors)

    def _loss(self, sequences: list, wanted: Tensor, vectors: Tensor) -> Tensor:
        # a batch may share a word more than the whole split does, so its own leading part is safe
        leading = scoring.leading_length(self.model.backbone, sequences)
        scores = scoring.training_scores(
            self.model.backbone, sequences, vectors, self.labels, leading
        )
        return F.cross_entropy(scores, wanted.to(scores.device))


class HiddenOrder(Objective):
    """A toy with a known answer: random unit vectors and an order in which they belong.

    The score is the mean probability, over places, that the token standing there is taken for the
    right one (softmax of its products with all tokens). It is differentiable, rises with the share
    of tokens in place, and is largest for the hidden order.
    """

    SHARPNESS = 8.0
    size = batch_size = 1

    def __init__(self, length: int, width: int = 32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vectors = F.normalize(torch.randn(length, width, generator=generator), dim=-1)
        self.hidden: Order = tuple(torch.randperm(length, generator=generator).tolist())

    def loss(self, vectors: Tensor) -> Tensor:
        matches = self.SHARPNESS * vectors @ self.vectors[list(self.hidden)].T  # (P, P)
        return 1 - matches.softmax(-1).diagonal().mean()

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        return self.loss(vectors)

    def score(self, order: Sequence[int]) -> float:
        """1 − loss, as a share of what the hidden order reaches; nothing is spent."""
        with torch.no_grad():
            reached = 1 - self.loss(self.vectors[list(order)])
            return (reached / (1 - self.loss(self.vectors[list(self.hidden)]))).item()


# ---- searches ----

OnProgress = Callable[[int, int], None]
"""Called with (forward passes spent, budget)."""

SENTENCES = 96
BUDGET = 600 * SENTENCES
PAIRS_AT_ONCE = 8
CHECK_SHARE = 1 / 3
"""Of what a sorter's training has spent, the part that may go into scoring orders on the sample."""

LSTM_LEARNING_RATE, SINKHORN_LEARNING_RATE = 1e-3, 0.1


@dataclass
class Found:
    """What a search came to.

    Attributes:
        order: the best one that the method tried, chosen on the sample. The given order is not
            among them, except for ``swap``, which starts from it.
        loss_before, loss: of the given order and of ``order``, on the sample.
        forward_passes: spent; history: (forward passes spent, lowest loss so far).
    """

    loss_before: float
    order: Order = ()
    loss: float = math.inf
    forward_passes: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)

    @property
    def is_permutation(self) -> bool:
        return len(set(self.order)) == len(self.order)


def find_order(
    objective: Objective,
    method: str,
    *,
    budget: int,
    seed: int = 0,
    positions: bool = False,
    on_progress: OnProgress | None = None,
) -> Found:
    """Look for the order with the lowest loss, within ``budget`` forward passes.

    Args:
        method: ``random``: orders drawn at random; ``swap``: gradient-guided swaps; ``lstm``,
            ``lstm-printed``: the sorter, as a permutation or as printed; ``lstm-taught``: the same,
            after it was taught the given order (:func:`teach`); ``sinkhorn``.
        positions: position enhancement for the sorter.

    Raises:
        LabError: for an unknown method, positions where there is no sorter, or a budget too small
            for one order besides the given one.
    """
    if method not in METHODS:
        raise LabError(f"method={method!r} is unknown; choose one of {', '.join(METHODS)}")
    if positions and not method.startswith("lstm"):
        raise LabError(f"positions are for the lstm sorter; the method {method!r} reads none")
    if budget < 2 * objective.size:
        raise LabError(
            f"budget={budget} forward passes is not enough to score the given order and another "
            f"one on {objective.size} sentences; give at least {2 * objective.size}"
        )
    _sortable(lambda: objective.vectors)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = _Search(objective, budget, on_progress)
        METHODS[method](run, positions)
    run.found.forward_passes = run.spent
    return run.found


class _Search:
    """Evaluates orders, each once, and remembers the best."""

    def __init__(
        self, objective: Objective, budget: int, on_progress: OnProgress | None = None
    ) -> None:
        self.objective, self.budget, self.on_progress = objective, budget, on_progress
        self.start = objective.spent
        self.given: Order = tuple(range(len(objective.vectors)))
        self.known = {self.given: objective.evaluate(self.given)}
        self.found = Found(self.known[self.given])

    @property
    def prompt(self) -> Callable[[], Tensor]:
        return lambda: self.objective.vectors

    @property
    def spent(self) -> int:
        return self.objective.spent - self.start

    def affords(self, cost: int) -> bool:
        return self.spent + cost <= self.budget

    def evaluate(self, order: Order) -> float:
        if order not in self.known:
            self.known[order] = self.objective.evaluate(order)
        self.propose(order)
        return self.known[order]

    def propose(self, order: Order) -> None:
        """Keep an order of known loss if it is the best one yet."""
        if self.known[order] < self.found.loss:
            self.found.order, self.found.loss = order, self.known[order]
            self.found.history.append((self.spent, self.found.loss))
        if self.on_progress is not None:
            self.on_progress(self.spent, self.budget)


def _random(run: _Search, _positions: bool) -> None:
    count = len(run.given)
    while run.affords(run.objective.size) and len(run.known) < math.factorial(count):
        order = tuple(torch.randperm(count).tolist())
        if order not in run.known:
            run.evaluate(order)


def _swap(run: _Search, _positions: bool) -> None:
    """Exchange the pair that helps most among those that the gradient promises most from.

    Where none of a handful lowers the loss, the next handful is tried; where no pair does, the
    search ends at a local optimum and leaves the rest of the budget.
    """
    order, size = run.given, run.objective.size
    run.propose(order)
    while run.affords(3 * size):
        rows = run.objective.vectors[list(order)]
        pairs = promising_pairs(rows, run.objective.gradient(order))
        better = order
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            for pair in pairs[start : start + PAIRS_AT_ONCE]:
                exchanged = _swapped(order, *pair)
                if exchanged in run.known or run.affords(size):
                    better = min(better, exchanged, key=run.evaluate)
            if better != order:
                break
        if better == order:
            return
        order = better


def promising_pairs(rows: Tensor, gradient: Tensor) -> list[tuple[int, int]]:
    """Pairs of places, the one whose exchange should lower the loss most first.

    To first order, exchanging rows i and j changes the loss by (g_i − g_j) · (p_j − p_i).

    Args:
        rows, gradient: (P, D) the prompt as it stands, and the loss's gradient there.
    """
    products = gradient @ rows.T  # (P, P) g_i · p_j
    own = products.diagonal()
    changes = products + products.T - own[:, None] - own[None]
    pairs = list(itertools.combinations(range(len(rows)), 2))
    return sorted(pairs, key=lambda pair: changes[pair].item())


def _swapped(order: Order, i: int, j: int) -> Order:
    changed = list(order)
    changed[i], changed[j] = changed[j], changed[i]
    return tuple(changed)


def _lstm(run: _Search, positions: bool, mode: str = "permutation", taught: bool = False) -> None:
    length, width = run.objective.vectors.shape
    enhance = PositionEnhancement(width, length) if positions else None
    sorter = LSTMSorter(run.prompt, mode=mode, positions=enhance).to(run.objective.vectors)
    if taught:
        teach(sorter, run.given)
    _train(run, sorter, LSTM_LEARNING_RATE)


def teach(
    sorter: LSTMSorter, order: Order, steps: int = 500, lr: float = LSTM_LEARNING_RATE
) -> None:
    """Train the sorter until it gives this order; no language model takes part in it.

    A fresh sorter starts from an arbitrary order, so from a prompt that its training must first
    repair. This one starts from where the prompt is good. Cross entropy at each place, the earlier
    choices given.
    """
    wanted = torch.tensor(order, device=sorter.vectors.device)
    optimizer = torch.optim.Adam(sorter.parameters(), lr=lr)
    for _ in range(steps):
        if sorter.order() == order:
            return
        chosen = sorter.sort(wanted).probabilities.gather(1, wanted[:, None])  # (P, 1)
        loss = -chosen.log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _sinkhorn(run: _Search, _positions: bool) -> None:
    _train(run, SinkhornSorter(run.prompt), SINKHORN_LEARNING_RATE)


def _train(run: _Search, sorter: LSTMSorter | SinkhornSorter, lr: float) -> None:
    """Train a sorter, scoring its order on the sample now and then and at the end."""
    objective = run.objective
    sorter.to(objective.vectors)
    optimizer = torch.optim.Adam(sorter.parameters(), lr=lr)
    checked = 0
    for step in itertools.count():
        if not run.affords(2 * objective.batch_size + objective.size):
            break
        loss = objective.training_loss(sorter(), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        due = checked + objective.size <= CHECK_SHARE * run.spent
        # the score of the last order must remain affordable
        if due and run.affords(2 * objective.size) and sorter.order() not in run.known:
            run.evaluate(sorter.order())
            checked += objective.size
    run.evaluate(sorter.order())


METHODS: dict[str, Callable[[_Search, bool], None]] = {
    "lstm": _lstm,
    "lstm-printed": functools.partial(_lstm, mode="printed"),
    "lstm-taught": functools.partial(_lstm, taught=True),
    "random": _random,
    "swap": _swap,
    "sinkhorn": _sinkhorn,
}


# ---- on a task ----


@dataclass(frozen=True)
class SearchResult:
    """A search on a task: chosen on training sentences, reported on test.

    Attributes:
        found: order, losses on the training sample, forward passes, history.
        before, after: the prompt as given and in the order found, on the test split (these passes
            are reporting, and not counted).
        seconds: of the search.
    """

    found: Found
    before: Evaluation
    after: Evaluation
    seconds: float

    @property
    def order(self) -> Order:
        return self.found.order

    @property
    def forward_passes(self) -> int:
        return self.found.forward_passes

    @property
    def is_permutation(self) -> bool:
        return self.found.is_permutation


def search(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    method: str,
    *,
    budget: int = BUDGET,
    seed: int = 0,
    positions: bool = False,
    sentences: int = SENTENCES,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> SearchResult:
    """Look for a better order of a prompt's virtual tokens; the prompt itself is left as it is.

    Args:
        method, budget, seed, positions: as in :func:`find_order`; the seed also draws the sample.
        sentences: training sentences on which orders are compared.
        limit: report on a seeded sample of that many test examples; default: all.
    """
    objective = PromptLoss(model, prompt, task, sentences=sentences, seed=seed)
    started = time.perf_counter()
    found = find_order(
        objective, method, budget=budget, seed=seed, positions=positions, on_progress=on_progress
    )
    seconds = time.perf_counter() - started
    ordered = objective.vectors[list(found.order)]
    before, after = (
        evaluate(model, module, task, "test", limit=limit)
        for module in (prompt, SoftPrompt(ordered))
    )
    return SearchResult(found, before, after, seconds)
