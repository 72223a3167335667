"""Prompts that travel between tasks: SPoT, TPT, PPT, and ensembles of prompts.

- How alike are two prompts? By their vectors (SPoT, Vu et al. 2022, section 3.2; TPT, Su et al.
  2022, section 5.1), or by the feed-forward neurons that they switch on (TPT, section 5.1).
- What does a prompt of one task do on another? Zero-shot transfer, and transfer as a start.
- A prompt of one model in front of another, through a learned map (TPT, section 6).
- Several prompts on one frozen model, one batch, one vote (Lester et al. 2021, section 6).
- Prompts pre-trained on plain text (PPT, Gu et al. 2022).

*Zero-shot transfer* here means: the target's own template and label words, the source's vectors in
its slots. Label spaces differ between tasks, so nothing of the source but its vectors can travel.

Usage::

    prompts = {name: read_prompt(name) for name in ("prompts/a", "prompts/b.npz")}
    similarities(list(prompts.values()), "cosine-mean")            # (2, 2)
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring, statistics
from labkit.core.backbones import Backbone, Batch
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import (
    TRAINED_ON,
    Example,
    Task,
    TaskPrompt,
    are_seen,
    load_task,
    split_examples,
)
from labkit.core.templates import Template
from labkit.core.tuning import epoch_batches, targets
from labkit.soft_prompt import PEFT_KEY, WEIGHTS, load_prompt

# ---- prompts from files ----

_ENDINGS = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".bin")


def read_prompt(path: str | Path) -> Tensor:
    """The virtual tokens of any saved prompt: (P, D) fp32.

    Args:
        path: a folder as `labkit tune` and PEFT write it, or a file with one matrix in it:
            ``.safetensors``, ``.npz``, ``.npy``, or what torch saved (``.pt``, ``.pth``,
            ``.bin``; read as data only, nothing in it is executed).

    Raises:
        LabError: for a file that is missing, damaged, of another kind, or without one clear matrix.
    """
    path = Path(path)
    if path.is_dir():
        return _checked_prompt(path, load_prompt(path)[0].weight.detach())
    if not path.is_file():
        raise LabError(f"{path} does not exist; give a prompt's folder or file")
    if path.suffix not in _ENDINGS:
        raise LabError(f"{path} is no kind of file that holds a prompt; give {', '.join(_ENDINGS)}")
    try:
        found = _READERS[path.suffix](path)
    except Exception as error:  # each format's reader raises whatever the damaged bytes lead to
        raise LabError(
            f"{path} can't be read as a prompt ({str(error).splitlines()[0][:120]}); save its "
            "matrix again, as .safetensors or .npz"
        ) from error
    return _checked_prompt(path, _only_matrix(path, found))


def _read_numpy(path: Path) -> dict[str, Tensor]:
    loaded = np.load(path, allow_pickle=False)
    arrays = {"array": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def _read_torch(path: Path) -> dict[str, Tensor]:
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {"tensor": loaded} if isinstance(loaded, Tensor) else dict(loaded)


_READERS: Mapping[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": load_file,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
}


def _only_matrix(path: Path, found: Mapping[str, object]) -> Tensor:
    matrices = {
        name: value
        for name, value in found.items()
        if isinstance(value, Tensor) and value.ndim == 2
    }
    if PEFT_KEY in matrices:
        return matrices[PEFT_KEY]
    if len(matrices) != 1:
        listed = ", ".join(sorted(matrices)) or "none"
        raise LabError(
            f"{path} holds {len(matrices)} matrices ({listed}); a prompt's file holds one, of "
            f"shape (length, hidden size), or one called {PEFT_KEY}"
        )
    return next(iter(matrices.values()))


def _checked_prompt(path: Path, vectors: Tensor) -> Tensor:
    vectors = vectors.float()
    if not vectors.numel() or not torch.isfinite(vectors).all():
        raise LabError(f"{path} holds an empty matrix, NaN or infinity; train that prompt again")
    return vectors


# ---- how alike two prompts are, by their vectors ----


def cosine_of_means(a: Tensor, b: Tensor) -> float:
    """Cosine of the mean virtual tokens of (P, D) and (Q, D): SPoT's similarity of tasks."""
    return _cosine(a.mean(0), b.mean(0))


def mean_of_cosines(a: Tensor, b: Tensor) -> float:
    """Mean over all P · Q pairs of virtual tokens of their cosine (SPoT, "per-token average")."""
    return float((F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T).mean())


def cosine_concatenated(a: Tensor, b: Tensor) -> float:
    """Cosine of the two matrices laid out as one row each; both need the same shape (TPT)."""
    return _cosine(*_same_shape(a, b))


def euclidean_concatenated(a: Tensor, b: Tensor) -> float:
    """1 / (1 + ‖a − b‖), the matrices laid out as one row each; both need the same shape (TPT)."""
    first, second = _same_shape(a, b)
    return _closeness((first - second).norm())


def euclidean_of_means(a: Tensor, b: Tensor) -> float:
    """1 / (1 + distance of the mean virtual tokens)."""
    return _closeness((a.mean(0) - b.mean(0)).norm())


def euclidean_of_pairs(a: Tensor, b: Tensor) -> float:
    """1 / (1 + mean distance over all P · Q pairs of virtual tokens) (TPT, "averaged")."""
    return _closeness(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").mean())


VECTOR_METRICS: Mapping[str, Callable[[Tensor, Tensor], float]] = {
    "cosine-mean": cosine_of_means,
    "cosine-pairs": mean_of_cosines,
    "cosine-concat": cosine_concatenated,
    "euclidean-mean": euclidean_of_means,
    "euclidean-pairs": euclidean_of_pairs,
    "euclidean-concat": euclidean_concatenated,
}
METRICS = (*VECTOR_METRICS, "neurons")
ALIASES = {"euclidean": "euclidean-concat"}


def similarities(
    prompts: Sequence[Tensor], metric: str, backbone: Backbone | None = None
) -> np.ndarray:
    """Similarity of every prompt with every other: (N, N), symmetric; higher is more alike.

    Args:
        prompts: N matrices (P, D) of one width.
        metric: one of ``METRICS``; ``neurons`` needs the ``backbone`` that they were made for.

    Raises:
        LabError: for an unknown metric, or shapes that can't be compared.
    """
    metric = ALIASES.get(metric, metric)
    if metric not in METRICS:
        raise LabError(f"metric {metric!r} is unknown; choose one of {', '.join(METRICS)}")
    widths = {prompt.shape[-1] for prompt in prompts}
    if len(widths) != 1:
        raise LabError(
            f"prompts of the widths {sorted(widths)} can't be compared: they were made for models "
            "of different hidden sizes; compare prompts of one backbone"
        )
    if metric == "neurons":
        if backbone is None:
            raise LabError("metric 'neurons' runs the model; name the backbone of the prompts")
        active = [active_neurons(backbone, prompt) for prompt in prompts]
        return _pairwise(active, neuron_overlap)
    return _pairwise([prompt.double() for prompt in prompts], VECTOR_METRICS[metric])


def _pairwise(items: Sequence[Tensor], alike: Callable[[Tensor, Tensor], float]) -> np.ndarray:
    result = np.empty((len(items), len(items)))
    for i, j in itertools.combinations_with_replacement(range(len(items)), 2):
        result[i, j] = result[j, i] = alike(items[i], items[j])
    return result


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=0))


def _closeness(distance: Tensor) -> float:
    return float(1 / (1 + distance))


def _same_shape(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape:
        raise LabError(
            f"prompts of shapes {tuple(a.shape)} and {tuple(b.shape)} can't be laid side by side; "
            "use cosine-mean, cosine-pairs, euclidean-mean or euclidean-pairs"
        )
    return a.flatten(), b.flatten()


# ---- how alike two prompts are, by the neurons that they switch on ----


def active_neurons(backbone: Backbone, vectors: Tensor) -> Tensor:
    """Which feed-forward neurons fire at the answer slot of the prompt alone: (layers · F,) bool.

    The input is the prompt, the tokenizer's special tokens and the answer slot, without any text.
    A neuron is active where the output of its layer's activation function is above zero. The slot
    is the mask token (mlm), the last position (causal), or the decoder's first one (seq2seq); an
    encoder has none, and the mean over the special tokens, which its readout pools, stands in.

    Args:
        vectors: (P, D) virtual tokens for this backbone.

    Raises:
        LabError: for a prompt of another width, or a model whose feed-forward layers are unknown.
    """
    if vectors.ndim != 2 or vectors.shape[1] != backbone.hidden_size:
        raise LabError(
            f"a prompt of shape {tuple(vectors.shape)} does not fit {backbone.name}, which takes "
            f"rows of width {backbone.hidden_size}; name the backbone that it was made for"
        )
    batch = _bare_input(backbone, len(vectors))
    if backbone.readout == "seq2seq":
        slots = torch.tensor([0])
    elif backbone.readout == "encoder":
        slots = (batch.ids[0] >= 0).nonzero().squeeze(-1)
    else:
        slots = batch.answer
    word = tuple(backbone.tokenizer("a", add_special_tokens=False)["input_ids"][:1])
    modules = _activation_modules(backbone)
    with torch.no_grad(), _outputs(modules) as found:
        backbone.word_scores(batch, vectors.to(backbone.device), (word,))
    layers = found[: len(modules)]  # an encoder goes on to embed the label text
    at_slot = [layer[0, slots.to(layer.device)].float().mean(0) for layer in layers]
    return (torch.cat(at_slot) > 0).cpu()


def neuron_overlap(a: Tensor, b: Tensor) -> float:
    """Cosine of two sets of active neurons (N,) bool: |A ∩ B| / √(|A| · |B|), 0 if one is empty."""
    if a.shape != b.shape:
        raise LabError(f"{len(a)} and {len(b)} neurons: compare prompts on one backbone")
    both, sizes = (a & b).sum().item(), a.sum().item() * b.sum().item()
    return both / sizes**0.5 if sizes else 0.0


def _bare_input(backbone: Backbone, length: int) -> Batch:
    before, after = backbone.special_tokens()
    ids = [*range(-1, -1 - length, -1), *before]
    answer = len(ids) - 1
    if backbone.readout == "mlm":
        answer = len(ids)
        ids.append(backbone.tokenizer.mask_token_id)
    if backbone.readout != "causal":
        ids += after
    device = backbone.device
    row = torch.tensor([ids], device=device)
    return Batch(row, torch.ones_like(row), torch.tensor([answer], device=device))


@contextlib.contextmanager
def _outputs(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Within the block, what the modules return is collected, call by call."""
    found: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output: found.append(output))
        for module in modules
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _activation_modules(backbone: Backbone) -> list[nn.Module]:
    """One per layer: BERT's ``intermediate``, or the activation inside a feed-forward block."""
    # of T5 the decoder writes the answer
    inside = "decoder." if backbone.readout == "seq2seq" else ""
    modules = [
        module
        for name, module in backbone.model.named_modules()
        if name.startswith(inside)
        and (
            name.endswith(".intermediate")
            or name.endswith((".mlp.act", ".mlp.act_fn", ".DenseReluDense.act"))
        )
    ]
    if not modules:
        raise LabError(
            f"the feed-forward layers of {backbone.name} are laid out in a way that is not known "
            "here; use a metric on the vectors, such as cosine-mean"
        )
    return modules


# ---- the table of transfer, and what it says ----

KINDS = {
    "sentiment": (
        "rt-polarity", "movie-valence", "amazon-valence", "editorials-valence", "tweets-valence",
        "sst2", "cr", "mpqa",
    ),
    "subjectivity": ("subj",),
    "inference": ("rte", "qnli", "mnli", "snli"),
    "paraphrase": ("mrpc", "qqp"),
}  # fmt: skip
"""Kinds of tasks, as in TPT: what the label says of the text."""


def kind_of(task: str) -> str:
    """The kind of a task; one that is in no list is a kind of its own."""
    return next((kind for kind, names in KINDS.items() if task in names), task)


def is_seen(source: str | None, target: str, backbone: str) -> bool:
    """Whether a pair proves little: shared sentences, or the backbone was trained on one of them.

    Args:
        source: None for a prompt that was trained on no task.
    """
    known = TRAINED_ON.get(backbone, frozenset())
    if source is None:
        return target in known
    return are_seen(source, target) or bool({source, target} & known)


class TransferTable(NamedTuple):
    """Zero-shot transfer: accuracies of S sources on T targets with R seeds.

    Attributes:
        values: (R, S, T); controls: name → (R, T); seen: (S, T) bool; majority: (T,).
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray
    controls: Mapping[str, np.ndarray]
    seen: np.ndarray
    majority: np.ndarray
    seeds: tuple[int, ...]

    @property
    def same_task(self) -> np.ndarray:
        """(S, T) whether source and target are one task."""
        return np.array([[s == t for t in self.targets] for s in self.sources])

    @property
    def same_kind(self) -> np.ndarray:
        """(S, T) whether source and target are of one kind."""
        return np.array([[kind_of(s) == kind_of(t) for t in self.targets] for s in self.sources])

    @property
    def fair(self) -> np.ndarray:
        """(S, T) pairs that say something about transfer: two tasks, not seen."""
        return ~self.same_task & ~self.seen


class OverTargets(NamedTuple):
    """A mean over target tasks, with Student's 95 % interval for targets drawn anew."""

    value: float
    low: float
    high: float
    targets: int


def over_targets(values: ArrayLike) -> OverTargets:
    """Mean of one value per target, with its interval.

    Raises:
        LabError: for fewer than two targets.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        raise LabError(f"{len(values)} targets are too few for an interval; run more tasks")
    low, high = statistics.mean_interval(values)
    return OverTargets(float(values.mean()), low, high, len(values))


def kind_difference(table: TransferTable) -> OverTargets:
    """Mean accuracy from sources of the target's kind minus that from sources of other kinds.

    Compared within each target that has both, seen pairs and the target itself left out, seeds
    averaged; then averaged over the targets. Sources are shared between targets, so the interval
    is for other targets of these sources.
    """
    mean, fair, same = table.values.mean(0), table.fair, table.same_kind
    found = []
    for column in range(len(table.targets)):
        own = fair[:, column] & same[:, column]
        other = fair[:, column] & ~same[:, column]
        if own.any() and other.any():
            found.append(mean[own, column].mean() - mean[other, column].mean())
    return over_targets(found)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's ρ of two (N,) arrays; tied values share their mean rank, 0 where one is constant.

    Raises:
        LabError: for other shapes, or fewer than three pairs.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise LabError(f"shapes {x.shape} and {y.shape}: give two rows of at least 3 values")
    return statistics.pearson(stats.rankdata(x), stats.rankdata(y))


def similarity_against_transfer(table: TransferTable, similarity: ArrayLike) -> OverTargets:
    """Rank correlation of similarity and transfer over the sources of a target, mean over targets.

    Within a target, because accuracies of different targets are on different scales. Left out: the
    target itself, seen pairs, and targets with fewer than three sources left.

    Args:
        similarity: (R, S, T) of the prompts of one seed with each other, or (S, T).
    """
    similarity = np.asarray(similarity, dtype=float)
    if similarity.ndim == 2:
        similarity = np.broadcast_to(similarity, table.values.shape)
    if similarity.shape != table.values.shape:
        raise LabError(
            f"similarities of shape {similarity.shape} for a table of {table.values.shape}: give "
            "(seeds, sources, targets)"
        )
    found = []
    for column in range(len(table.targets)):
        rows = table.fair[:, column]
        if rows.sum() < 3:
            continue
        pairs = zip(similarity[:, rows, column], table.values[:, rows, column], strict=True)
        found.append(np.mean([rank_correlation(x, y) for x, y in pairs]))
    return over_targets(found)


# ---- a start from other prompts (SPoT) ----


def read_library(folder: str | Path) -> dict[str, Tensor]:
    """Every saved prompt in a folder: name → (P, D).

    Raises:
        LabError: if there is none.
    """
    found = {
        path.stem if path.is_file() else path.name: read_prompt(path)
        for path in sorted(Path(folder).glob("*"))
        if (path / WEIGHTS).is_file() or path.suffix in _ENDINGS
    }
    if not found:
        raise LabError(
            f"{folder} holds no saved prompts; give a folder of prompts, as `labkit transfer "
            "matrix` leaves them beside its table"
        )
    return found


def likeness(
    target: Tensor,
    library: Mapping[str, Tensor],
    metric: str = "cosine-mean",
    backbone: Backbone | None = None,
) -> dict[str, float]:
    """Similarity of each prompt of the library to ``target`` (P, D), the most alike first.

    SPoT's task embedding of the target is its own prompt after a few steps of training.
    """
    if not library:
        raise LabError("the library holds no prompts; give at least one source prompt")
    alike = similarities([target, *library.values()], metric, backbone)[0, 1:]
    found = dict(zip(library, alike.tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def weighted_average(prompts: Sequence[Tensor], weights: ArrayLike) -> Tensor:
    """Σ wᵢ Pᵢ / Σ wᵢ of N prompts (P, D) with N weights: SPoT's average of the top k.

    Raises:
        LabError: for other shapes, a negative weight, or weights that are all zero.
    """
    weights = np.asarray(weights, dtype=float)
    shapes = {tuple(prompt.shape) for prompt in prompts}
    if len(shapes) != 1 or weights.shape != (len(prompts),):
        raise LabError(
            f"{len(prompts)} prompts of shapes {sorted(shapes)} and {weights.size} weights: give "
            "prompts of one shape, and one weight each"
        )
    if (weights < 0).any() or not weights.sum() > 0:
        raise LabError(
            f"weights {weights.round(3).tolist()}: none may be negative, and not all may be zero "
            "(leave sources out whose similarity is negative)"
        )
    share = torch.tensor(weights / weights.sum())
    return torch.einsum("n,npd->pd", share, torch.stack(list(prompts)).double()).float()


def weighted_start(library: Mapping[str, Tensor], alike: Mapping[str, float]) -> Tensor:
    """Mean of the prompts named in ``alike``, weighted by their similarity to the target.

    A negative similarity counts as 0; where none is positive, all count the same.
    """
    weights = np.array(list(alike.values())).clip(min=0)
    chosen = [library[name] for name in alike]
    return weighted_average(chosen, weights if weights.any() else np.ones(len(chosen)))


# ---- prompts of another model (TPT) ----


class ProjectedPrompt(nn.Module):
    """A prompt of another model, brought to this one's width by a map that is trained.

    Each virtual token goes through the same two layers, ``LayerNorm(W₂ tanh(W₁ x))``, and leaves
    with the spread of this model's word embeddings. The source's vectors stay as they are; only the
    map learns, so it can be trained with one task's prompt and then used :meth:`on` another's.
    After Su et al. 2022, section 6, whose map reads all virtual tokens at once.

    Args:
        vectors: (P, S) virtual tokens of the source model.
        backbone: the model that shall read them, of width D.
        width: H of the hidden layer; seed: of the map's first weights.
    """

    def __init__(
        self, vectors: Tensor, backbone: Backbone, width: int = 256, seed: int = 0
    ) -> None:
        super().__init__()
        table = backbone.model.get_input_embeddings().weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.LayerNorm(vectors.shape[1], elementwise_affine=False),
                nn.Linear(vectors.shape[1], width),
                nn.Tanh(),
                nn.Linear(width, backbone.hidden_size),
                nn.LayerNorm(backbone.hidden_size, elementwise_affine=False),
            )
        self.register_buffer("vectors", vectors.detach().float().clone())
        self.register_buffer("spread", table.detach().float().std())

    def forward(self) -> Tensor:
        return self.layers(self.vectors) * self.spread  # (P, S) → (P, D)

    def on(self, vectors: Tensor) -> ProjectedPrompt:
        """Another prompt (Q, S) through the very same map.

        Raises:
            LabError: if it is of another width than the prompt that the map was made for.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.vectors.shape[1]:
            raise LabError(
                f"a prompt of shape {tuple(vectors.shape)} does not fit a map from vectors of "
                f"width {self.vectors.shape[1]}; take one of the same source model"
            )
        other = copy.copy(self)
        other._buffers = self._buffers | {"vectors": vectors.detach().float().clone()}
        return other


def steps_to_reach(curve: Sequence[tuple[int, float]], value: float) -> int | None:
    """The first number of steps whose score is at least ``value``; None if it is never reached.

    TPT's "comparable-result time" is this number for the transferred start, with the plain
    prompt's final score as ``value``, as a share of the plain prompt's steps.

    Args:
        curve: (steps done, score) of each evaluation.
    """
    return next((steps for steps, score in curve if score >= value), None)


def fit_mixture(
    backbone: Backbone,
    prompt: nn.Module,
    tasks: Sequence[Task],
    *,
    steps: int,
    batch_size: int = 16,
    lr: float = 3e-3,
    seed: int = 0,
) -> list[float]:
    """Train one prompt on several tasks in turn, a batch of each: the multi-task mixture.

    Each task keeps its own template and label words; only the virtual tokens are shared.

    Returns:
        The loss of each step.
    """
    if not tasks or steps < 1:
        raise LabError(f"{len(tasks)} tasks and {steps} steps: a mixture needs at least one each")
    optimizer = torch.optim.Adam(prompt.parameters(), lr=lr)
    parts = []
    for task in tasks:
        model = for_classes(PromptedModel.for_task(backbone, task), task)
        with torch.no_grad():
            sequences = model.encode(task.split("train"), model.vectors(prompt))
        parts.append((model, sequences, targets(task.split("train"), task)))
    losses = []
    for step in range(steps):
        model, sequences, wanted = parts[step % len(parts)]
        turn = step // len(parts)
        epoch, index = divmod(turn, -(-len(sequences) // batch_size))
        rows = epoch_batches(len(sequences), batch_size, seed, epoch)[index]
        vectors = model.vectors(prompt)
        scores = scoring.training_scores(
            backbone, [sequences[row] for row in rows], vectors, model.labels()
        )
        loss = F.cross_entropy(scores, wanted[rows].to(scores.device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(prompt.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


# ---- ensembles of prompts (Lester et al. 2021, section 6) ----


def ensemble_scores(
    model: PromptedModel, prompts: Sequence[nn.Module], examples: Sequence[Example]
) -> Tensor:
    """Label scores under each of E prompts, all of them in the same batches: (E, N, C).

    The prompts lie one behind the other as one matrix (E · P, D); the slots of example n under
    prompt e point at rows e · P … (e + 1) · P − 1 of it. One frozen model thus serves them all,
    where an ensemble of fine-tuned models would be E models.

    Raises:
        LabError: for no prompts, or prompts of several lengths.
    """
    with torch.no_grad():
        vectors = [model.vectors(prompt) for prompt in prompts]
    lengths = {len(v) for v in vectors if v is not None}
    if len(lengths) != 1:
        raise LabError(
            f"an ensemble of {len(prompts)} prompts with lengths {sorted(lengths)}; give at least "
            "one, all of one length"
        )
    sequences = model.encode(examples, vectors[0])
    rows = len(vectors[0])
    every = [
        sequence._replace(ids=tuple(i - e * rows if i < 0 else i for i in sequence.ids))
        for e in range(len(prompts))
        for sequence in sequences
    ]
    found = scoring.score(model.backbone, every, torch.cat(vectors), model.labels(), share=False)
    return found.view(len(prompts), len(examples), -1)


def majority_vote(scores: Tensor) -> Tensor:
    """The class that most of E prompts choose, (E, N, C) → (N,); ties go to the higher mean score.

    The paper's ensemble. Averaging scores instead is :func:`mean_vote`.
    """
    counts = F.one_hot(scores.argmax(-1), scores.shape[-1]).sum(0).double()  # (N, C)
    probability = scores.double().softmax(-1).mean(0)  # (N, C), below 1: it only breaks ties
    return (counts + probability / 2).argmax(-1)


def mean_vote(scores: Tensor) -> Tensor:
    """The class of the highest probability, averaged over E prompts: (E, N, C) → (N,)."""
    return scores.double().softmax(-1).mean(0).argmax(-1)


# ---- prompts pre-trained on plain text (PPT) ----

PAIR_LABELS = ("next", "same document", "other document")


def documents(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Sentences by document and in their order, from ids like ``article_sentence``.

    Raises:
        LabError: for an id of another form.
    """
    found: dict[str, list[tuple[int, Example]]] = {}
    for example in examples:
        document, _, number = example.id.rpartition("_")
        if not document or not number.isdecimal():
            raise LabError(
                f"example id {example.id!r} does not say its document and place; pre-training "
                "needs ids like 12_3 (document 12, sentence 3), as the editorials have"
            )
        found.setdefault(document, []).append((int(number), example))
    return {
        name: [example for _, example in sorted(rows, key=lambda row: row[0])]
        for name, rows in found.items()
    }


def sentence_pairs(examples: Sequence[Example], count: int, seed: int = 0) -> Task:
    """PPT's task for sentence pairs: does the second sentence follow the first, come from the same
    document without following it, or from another document? The three in equal numbers.

    Args:
        examples: sentences whose ids say document and place, see :func:`documents`.
        count: pairs in all; ``validation`` takes a tenth of them.

    Raises:
        LabError: where the documents hold no such pairs.
    """
    random = np.random.default_rng(seed)
    whole = documents(examples)
    following = [
        (a, b) for rows in whole.values() for a, b in itertools.pairwise(rows) if _follows(a, b)
    ]
    apart = [rows for rows in whole.values() if any(_may_stand_apart(rows))]
    if not following or not apart or len(whole) < 2:
        raise LabError(
            f"{len(whole)} documents with {len(following)} adjacent sentences: pre-training on "
            "pairs needs two documents, one of them with two sentences that do not follow"
        )
    names = list(whole)
    made = []
    for number in range(count):
        label = number % len(PAIR_LABELS)
        if label == 0:
            first, second = following[random.integers(len(following))]
        elif label == 1:
            rows = apart[random.integers(len(apart))]
            options = list(_may_stand_apart(rows))
            first, second = options[random.integers(len(options))]
        else:
            one, other = random.choice(len(names), 2, replace=False)
            first, second = (
                whole[names[d]][random.integers(len(whole[names[d]]))] for d in (one, other)
            )
        fields = {"sentence1": first.text, "sentence2": second.text}
        made.append(Example(f"{first.id}+{second.id}", fields, label))
    words = {"next": "Then", "same document": "Also", "other document": "Elsewhere"}
    texts = {
        "next": "the second sentence continues the first",
        "same document": "two sentences about the same matter",
        "other document": "two sentences about different matters",
    }
    prompts = task_prompts("{sentence1} {mask}, {sentence2}", words, texts)
    return _pretraining_task("sentence-pairs", made, PAIR_LABELS, prompts)


def next_and_other(
    whole: Mapping[str, Sequence[tuple[int, str]]], seed: int = 0
) -> list[tuple[str, str, str]]:
    """The smallest form of that task: every pair of neighbours as ``next``, and its first sentence
    with one of another document as ``other``.

    Args:
        whole: document → (place, sentence) in order; places may leave gaps.
    """
    random = np.random.default_rng(seed)
    made = []
    for name, rows in whole.items():
        elsewhere = [text for other, rest in whole.items() if other != name for _, text in rest]
        for (place, first), (after, second) in itertools.pairwise(rows):
            if after == place + 1:
                wrong = elsewhere[random.integers(len(elsewhere))]
                made += [(first, second, "next"), (first, wrong, "other")]
    return made


def next_sentence_choices(
    examples: Sequence[Example], count: int, seed: int = 0, choices: int = 4
) -> Task:
    """PPT's multiple choice: which of the lettered sentences follows the first? One does, the
    others come from other documents.

    The template is PPT's unified form: the query, then all answers with their letters.
    """
    random = np.random.default_rng(seed)
    whole = documents(examples)
    following = [
        (a, b) for rows in whole.values() for a, b in itertools.pairwise(rows) if _follows(a, b)
    ]
    if not following or len(whole) < 2:
        raise LabError("multiple choice needs two documents, one with two adjacent sentences")
    letters = _LETTERS[:choices]
    every = [example for rows in whole.values() for example in rows]
    made = []
    for number in range(count):
        first, second = following[random.integers(len(following))]
        own = _document(first)
        wrong: list[Example] = []
        while len(wrong) < choices - 1:
            other = every[random.integers(len(every))]
            if _document(other) != own:
                wrong.append(other)
        answer = number % choices
        answers = [*wrong[:answer], second, *wrong[answer:]]
        fields = {"query": first.text, "answers": lettered([e.text for e in answers])}
        made.append(Example(f"{first.id}?{number}", fields, answer))
    return _pretraining_task("next-sentence", made, letters, choice_prompts(letters))


def pseudo_labelled(
    model: PromptedModel, texts: Sequence[Example], labels: Sequence[str], share: float = 0.5
) -> Task:
    """PPT's task for single sentences: texts with the labels that a hard prompt gives them.

    Args:
        model: a hard prompt (no virtual tokens) that scores the texts.
        labels: its classes, in the order of its verbalizer.
        share: of each class the surest share is kept.
    """
    scores = model.scores(None, texts).double().softmax(-1)
    predicted, sureness = scores.argmax(-1), scores.max(-1).values
    made = []
    for label in range(len(labels)):
        own = (predicted == label).nonzero().squeeze(-1)
        surest = own[sureness[own].argsort(descending=True)][: round(share * len(own))]
        made += [
            Example(texts[row].id, {"text": texts[row].text}, label) for row in surest.tolist()
        ]
    if len({example.label for example in made}) < 2:
        raise LabError(
            f"the hard prompt {model.template.text!r} gives all texts the same label; choose "
            "another template or other label words"
        )
    prompt = TaskPrompt(model.template.without_soft().text, model.verbalizer.words)
    return _pretraining_task("pseudo-labels", made, labels, {model.backbone.readout: prompt})


FORMS = ("pairs", "choice", "single")


def pretraining_task(form: str, backbone: Backbone, count: int, seed: int = 0) -> Task:
    """One of PPT's three tasks, made from the editorials, which nobody had to label for it.

    Args:
        form: ``pairs`` (:func:`sentence_pairs`), ``choice`` (:func:`next_sentence_choices`) or
            ``single`` (:func:`pseudo_labelled`, by the backbone's own hard prompt).
        count: examples to make; of ``single`` the surest half is kept.

    Raises:
        LabError: for another form.
    """
    if form not in FORMS:
        raise LabError(f"form {form!r} is unknown; choose pairs, choice or single")
    text = load_task("editorials-valence", as_regression=True).split("train")
    if form == "pairs":
        return sentence_pairs(text, count, seed)
    if form == "choice":
        return next_sentence_choices(text, count, seed)
    plain = load_task("editorials-valence")
    hard = PromptedModel.for_task(backbone, plain, soft=False)
    return pseudo_labelled(hard, text[:count], plain.labels)


_LETTERS = ("A", "B", "C", "D", "E", "F")


def lettered(answers: Sequence[str]) -> str:
    """``A. first B. second``: the answers of a multiple choice, laid out in one line."""
    return " ".join(f"{letter}. {a}" for letter, a in zip(_LETTERS, answers, strict=False))


def choice_prompts(letters: Sequence[str]) -> dict[str, TaskPrompt]:
    """Templates of the unified form for every readout: the letter is the answer."""
    words = {letter: letter for letter in letters}
    texts = {letter: f"answer {letter}" for letter in letters}
    return task_prompts("{query} {answers} Answer: {mask}", words, texts)


def task_prompts(
    cloze: str, words: Mapping[str, str], texts: Mapping[str, str]
) -> dict[str, TaskPrompt]:
    """A template and label words for every readout.

    Args:
        cloze: template with ``{mask}``; words: class → answer word; texts: class → label text for
            the encoder.
    """
    fields = " ".join(f"{{{name}}}" for name in Template(cloze).fields)
    causal = cloze if cloze.endswith("{mask}") else f"{fields} Answer: {{mask}}"
    return {
        "mlm": TaskPrompt(cloze, words),
        "causal": TaskPrompt(causal, words),
        "seq2seq": TaskPrompt(fields, words),
        "encoder": TaskPrompt(fields, texts),
    }


def _pretraining_task(
    name: str, made: Sequence[Example], labels: Sequence[str], prompts: Mapping[str, TaskPrompt]
) -> Task:
    cut = split_examples(made, {"validation": 0.1, "test": 0.1})
    return Task(name, tuple(made[0].fields), tuple(labels), cut, "made here", None, prompts)


def _document(example: Example) -> str:
    return example.id.rpartition("_")[0]


def _number(example: Example) -> int:
    return int(example.id.rpartition("_")[2])


def _follows(first: Example, second: Example) -> bool:
    return _number(second) == _number(first) + 1


def _may_stand_apart(rows: Sequence[Example]) -> Iterator[tuple[Example, Example]]:
    """Pairs of one document, either way round, that are not neighbours."""
    return ((a, b) for a, b in itertools.permutations(rows, 2) if abs(_number(a) - _number(b)) > 1)
