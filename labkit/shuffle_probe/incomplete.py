"""The mean order effect from a fraction of the scorings: a balanced incomplete design.

In a full matrix every order is scored on every sentence, which is what counts, flips and tests of
single orders need. The mean effect does not: here each sentence is read under a few orders of its
own, and each order by a few sentences. Every (order, sentence) is as likely as every other, so the
mean over those that were scored is unbiased for the mean over all, and it is spread over many more
orders than a full matrix of the same cost.

    design = incomplete_design(Shuffle(), length=20, sentences=512, seed=0)
    probe = probe_incomplete(model, prompt, task, design)
    probe.mean_difference()     # with its interval over orders and sentences

Sources: Cochran and Cox 1957, "Experimental Designs", chapter 11; Cameron, Gelbach and Miller 2011,
"Robust inference with multiway clustering", for the interval.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labkit.core import scoring, statistics
from labkit.core.budget import budget_for
from labkit.core.errors import LabError
from labkit.core.files import file_aside
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.sequences import Encoded
from labkit.core.statistics import Difference
from labkit.core.tasks import Task
from labkit.shuffle_probe.orders import Orders, Shuffle, checked
from labkit.shuffle_probe.probe import Probe

PER_SENTENCE, PER_ORDER = 2, 8
"""Orders of a sentence, and sentences of an order, where nothing else is asked for."""


@dataclass(frozen=True)
class Design:
    """Which sentence is read under which order.

    Attributes:
        orders: (R, P); order, sentence: (K,) index of the order and of the sentence of each of the
            K scorings.
        sentences: N, every one of which has the same number of scorings.
    """

    orders: Orders
    order: NDArray[np.int64]
    sentence: NDArray[np.int64]
    sentences: int


def incomplete_design(
    shuffle: Shuffle,
    length: int,
    sentences: int,
    *,
    per_sentence: int = PER_SENTENCE,
    per_order: int = PER_ORDER,
    seed: int = 0,
) -> Design:
    """Each of N sentences under ``per_sentence`` orders, each order by about ``per_order`` of them.

    Where a prompt has fewer orders than that takes, all there are are used about equally often.

    Args:
        length: P, virtual tokens of the prompt.

    Raises:
        LabError: for a count below 1, or more orders a sentence than the prompt has.
    """
    for name, value in (("per_sentence", per_sentence), ("per_order", per_order)):
        if value < 1:
            raise LabError(f"{name}={value}: a design has at least one")
    available = shuffle.available(length)
    if per_sentence > available:
        raise LabError(
            f"per_sentence={per_sentence}: a prompt of {length} virtual tokens has {available} "
            "other orders"
        )
    groups = -(-sentences // per_order)  # of each round: every sentence is in one of them
    orders = shuffle.draw(length, min(groups * per_sentence, available), seed)
    pairs = _rounds(len(orders), groups, sentences, per_sentence, np.random.default_rng(seed))
    return Design(orders, pairs[:, 0], pairs[:, 1], sentences)


def _rounds(
    orders: int, groups: int, sentences: int, rounds: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """(order, sentence) of every scoring: (rounds × sentences, 2), no pair twice."""
    seen: set[tuple[int, int]] = set()
    pairs: list[tuple[int, int]] = []
    queue: list[int] = []
    for _ in range(rounds):
        for members in np.array_split(random.permutation(sentences), groups):
            if not queue:
                queue = random.permutation(orders).tolist()
            order = queue.pop()
            for sentence in members.tolist():
                given = order
                while (given, sentence) in seen:  # only where orders are few
                    given = int(random.integers(orders))
                seen.add((given, sentence))
                pairs.append((given, sentence))
    return np.array(pairs)


@dataclass(frozen=True)
class IncompleteProbe:
    """The answers of a design, and those in the trained order on all of its sentences.

    Attributes:
        right: (K,) whether each scoring gave the right class; trained_right: (N,).
        seconds: of all ``scorings``, those in the trained order included.
    """

    design: Design
    right: NDArray[np.bool_]
    trained_right: NDArray[np.bool_]
    seconds: float = 0.0

    @property
    def scorings(self) -> int:
        return len(self.right) + len(self.trained_right)

    @property
    def baseline(self) -> float:
        """Score in the trained order."""
        return float(self.trained_right.mean())

    def mean_difference(self) -> Difference:
        """A random order's score minus the trained one's, with its interval.

        The variance is the two-way cluster-robust one: scorings of the same order belong together,
        and so do those of the same sentence. It is never below that of either alone, and few orders
        say little of it: the interval is Student's, with as many degrees of freedom as the smaller
        number of clusters leaves (Cameron, Gelbach and Miller 2011, section 2).

        Raises:
            LabError: for a design of fewer than two orders or sentences.
        """
        quantile = statistics.student(_clusters(self.design))
        effect = self.right.astype(float) - self.trained_right[self.design.sentence]
        mean, variance = statistics.clustered_mean(effect, self.design.order, self.design.sentence)
        half = float(quantile * np.sqrt(variance))
        return Difference(mean, mean - half, mean + half)

    def summary(self) -> dict:
        """The above as plain numbers."""
        effect = self.mean_difference()
        # equal answers leave an interval without width: nothing tells what would have shown
        detectable = statistics.detectable_effect(effect) if effect.low < effect.high else None
        return {
            "design": "incomplete",
            "metric": "accuracy",
            "n": self.design.sentences,
            "permutations": len(self.design.orders),
            "scorings": self.scorings,
            "scorings_of_full_matrix": (len(self.design.orders) + 1) * self.design.sentences,
            "baseline": self.baseline,
            "mean_difference": list(effect),
            "detectable": detectable,
            "seconds": round(self.seconds, 1),
        }

    def save(self, file: str | Path) -> None:
        """Keep the design and its answers in one compressed ``.npz`` file."""
        with file_aside(Path(file)) as aside, aside.open("wb") as stream:
            np.savez_compressed(
                stream,
                orders=self.design.orders.astype(np.int16),
                order=self.design.order,
                sentence=self.design.sentence,
                right=self.right,
                trained_right=self.trained_right,
                seconds=np.array(self.seconds),
            )


def _clusters(design: Design) -> int:
    """How many orders or sentences there are, whichever are fewer.

    Raises:
        LabError: where there is one of either, which says nothing of how far they lie apart.
    """
    orders, sentences = (len(np.unique(cluster)) for cluster in (design.order, design.sentence))
    if min(orders, sentences) < 2:
        raise LabError(
            "a mean over orders and sentences has an interval from two of each on, and the design "
            f"has {orders} and {sentences}; read fewer sentences in an order (--per-order), each "
            "sentence in more orders (--per-sentence), or let more of the prompt move (--fixed, "
            "--unit)"
        )
    return min(orders, sentences)


def from_matrix(probe: Probe, design: Design) -> IncompleteProbe:
    """What the design would have measured, read off a full matrix of its orders and sentences."""
    right = probe.correct[design.order, design.sentence]
    trained = probe.trained == probe.targets
    return IncompleteProbe(design, right, trained[: design.sentences])


def probe_incomplete(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    design: Design,
    split: str = "test",
    *,
    progress: scoring.Progress | None = None,
) -> IncompleteProbe:
    """Score a prompt in its trained order on the design's sentences, and in its orders on a few.

    Sentences of different orders share a batch. A causal model reads the virtual tokens once per
    order before that, and a first part that several orders keep once for all of these.

    Args:
        progress: called with (scorings done, scorings in all).

    Raises:
        LabError: for a regression (a correlation is no mean over sentences), or a design of fewer
            than two orders or sentences.
    """
    started = time.perf_counter()
    _clusters(design)  # what has no interval is not worth the scorings
    targets, trained, moved = _read(model, prompt, task, design, split, progress)
    return IncompleteProbe(
        design,
        moved.argmax(-1).numpy() == targets[design.sentence],
        trained.argmax(-1).numpy() == targets,
        time.perf_counter() - started,
    )


def design_losses(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    design: Design,
    split: str = "validation",
    *,
    progress: scoring.Progress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """What the orders of a design cost: −log p(right class) in nats, scoring by scoring.

    Returns:
        losses: (K,) of the scorings; trained: (K,) of the same sentences in the trained order;
        flipped: (K,) whether the two give another class.

    Raises:
        LabError: as :func:`probe_incomplete` does.
    """
    targets, trained, moved = _read(model, prompt, task, design, split, progress)
    plain, of_each = trained[design.sentence], torch.from_numpy(targets[design.sentence])
    losses, before = (scoring.losses_of(scores, of_each) for scores in (moved, plain))
    return losses, before, (moved.argmax(-1) != plain.argmax(-1)).numpy()


def _read(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    design: Design,
    split: str,
    progress: scoring.Progress | None,
) -> tuple[NDArray[np.int64], Tensor, Tensor]:
    """Classes of the design's sentences (N,), label scores in the trained order (N, C), and those
    of each scoring (K, C)."""
    if task.kind == "regression":
        raise LabError(
            f"task {task.name!r} is scored by a correlation, which is no mean over sentences; "
            "probe it with the full matrix (without --design incomplete)"
        )
    task = model.view_of(task)
    examples = task.take(split, design.sentences, seed=0)
    if len(examples) < design.sentences:
        raise LabError(
            f"split {split!r} of task {task.name!r} has {len(examples)} examples, the design "
            f"{design.sentences}; ask for at most that many with --limit"
        )
    model = for_classes(model, task)
    vectors = model.fixed_vectors(prompt)
    orders = checked(design.orders, len(vectors))
    sequences = model.encode(examples, vectors)
    tell = progress or (lambda done, total: None)
    trained = scoring.score(model.backbone, sequences, vectors, model.labels())
    tell(len(sequences), len(sequences) + len(design.order))
    moved = _scores(model, sequences, vectors, orders, design, tell)
    return np.array([example.label for example in examples]), trained, moved


def _scores(
    model: PromptedModel,
    sequences: Sequence[Encoded],
    vectors: Tensor,
    orders: Orders,
    design: Design,
    tell: scoring.Progress,
) -> Tensor:
    """Label scores of each scoring: (K, C)."""
    backbone, labels = model.backbone, model.labels()
    prefix = backbone.prefix_of(sequences)
    result = torch.empty(len(design.order), len(labels.classes))
    done = len(sequences)
    limit = budget_for(backbone.device)
    # a causal model computes the places from where orders differ, others only hold the prompts
    at_once = limit.computed // _moving(orders) if prefix else limit.held // len(vectors)
    for some in _orders_at_once(design, at_once):
        (rows,) = np.isin(design.order, some).nonzero()
        chosen = np.searchsorted(some, design.order[rows])
        members = [sequences[sentence] for sentence in design.sentence[rows]]
        prompts = vectors[torch.from_numpy(orders[some]).to(vectors.device)]  # (M, P, D)
        result[rows] = scoring.scores_under_each(backbone, members, prompts, chosen, labels, prefix)
        done += len(rows)
        tell(done, len(sequences) + len(design.order))
    return result


def _moving(orders: Orders) -> int:
    """How many places follow those that hold the same virtual token in every order; of a single
    order all."""
    differs = (orders != orders[0]).any(0)  # (P,)
    return len(differs) - int(differs.argmax())


def _orders_at_once(design: Design, count: int) -> Iterator[NDArray[np.int64]]:
    """The design's orders, at most ``count`` (and at least one) together: (M,)."""
    used = np.unique(design.order)
    for start in range(0, len(used), max(count, 1)):
        yield used[start : start + max(count, 1)]
