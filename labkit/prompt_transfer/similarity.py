"""How alike two prompts are: by their vectors, or by the feed-forward neurons that they switch on.

By vectors: SPoT (Vu et al. 2022, section 3.2) and TPT (Su et al. 2022, section 5.1). By neurons:
TPT, section 5.1.

Usage::

    similarities([first, second], "cosine-mean")               # (2, 2)
    similarities(list(since_start(library, start).values()), "cosine-mean")
    similarities([first, second], "neurons", backbone)
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.readouts import Seq2SeqBackbone
from labkit.core.sequences import Batch

# ---- by their vectors ----


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


def since_start(library: Mapping[str, Tensor], start: Tensor) -> dict[str, Tensor]:
    """What training has added to each prompt (P, D) that began as ``start`` (P, D).

    Prompts of one seed begin as the same vectors, and what they keep of them makes them alike
    whatever they were trained on; this takes it away.

    Raises:
        LabError: for a prompt of another shape than its start.
    """
    for name, prompt in library.items():
        if prompt.shape != start.shape:
            raise LabError(
                f"prompt {name!r} of shape {tuple(prompt.shape)} did not begin as vectors of shape "
                f"{tuple(start.shape)}; give the start that it was trained from"
            )
    return {name: prompt - start for name, prompt in library.items()}


# ---- by the neurons that they switch on ----


def active_neurons(backbone: Backbone, vectors: Tensor) -> Tensor:
    """Which feed-forward neurons fire at the answer slot of the prompt alone: (layers · F,) bool.

    The input is the prompt, the tokenizer's special tokens and the answer slot, without any text.
    A neuron is active where the output of its layer's activation function is above zero. The slot
    is the mask token (mlm), the last position (causal), or the one where the decoder writes its
    first piece (seq2seq); an encoder has none, and the mean over the special tokens, which its
    readout pools, stands in.

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
    if isinstance(backbone, Seq2SeqBackbone):
        slots = torch.tensor([backbone.first_written(len(vectors))])
    elif backbone.readout == "encoder":
        slots = (batch.ids[0] >= 0).nonzero().squeeze(-1)
    else:
        slots = batch.answer
    word = tuple(backbone.tokenizer("a", add_special_tokens=False)["input_ids"][:1])
    modules = _activation_modules(backbone)
    with torch.no_grad(), _outputs(modules) as outputs:
        backbone.word_scores(batch, vectors.to(backbone.device), (word,))
    layers = outputs[: len(modules)]  # an encoder goes on to embed the label text
    at_slot = [layer[0, slots.to(layer.device)].float().mean(0) for layer in layers]
    return (torch.cat(at_slot) > 0).cpu()


def neuron_overlap(a: Tensor, b: Tensor) -> float:
    """Cosine of two sets of active neurons (N,) bool: |A ∩ B| / √(|A| · |B|), 0 if one is empty.

    Raises:
        LabError: for sets of different sizes, which no two prompts of one backbone have.
    """
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
    outputs: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
        for module in modules
    ]
    try:
        yield outputs
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
