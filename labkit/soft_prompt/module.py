"""The module itself: a matrix of virtual tokens, and the ways to start it (Lester et al. 2021,
section 3.1 and the ablation of figure 3b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Verbalizer
from labkit.soft_prompt.vocabulary import (
    COMMON_ENTRIES,
    common_entries,
    generator,
    pieces,
    word_vectors,
)

UNIFORM_BOUND = 0.5


class SoftPrompt(nn.Module):
    """P virtual tokens as one free parameter.

    Args:
        weight: (P, D) starting values; they are copied, and kept in fp32 whatever the backbone's
            precision, because steps of bf16 would be lost in rounding.

    Raises:
        LabError: if ``weight`` is not a matrix with at least one row.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        if weight.ndim != 2 or not len(weight):
            raise LabError(
                f"a soft prompt is a matrix of at least one virtual token, got shape "
                f"{tuple(weight.shape)}; give (length, hidden size)"
            )
        self.weight = nn.Parameter(weight.detach().clone().float().cpu())

    def forward(self) -> Tensor:
        """The virtual tokens: (P, D)."""
        return self.weight

    def __len__(self) -> int:
        return len(self.weight)

    def extra_repr(self) -> str:
        return f"{len(self)} virtual tokens of width {self.weight.shape[1]}"

    @classmethod
    def from_uniform(
        cls, backbone: Backbone, length: int, seed: int = 0, bound: float = UNIFORM_BOUND
    ) -> SoftPrompt:
        """Uniform in [−bound, bound] (the paper's random initialisation, bound 0.5)."""
        draw = torch.rand(_positive(length), backbone.hidden_size, generator=generator(seed))
        return cls((2 * draw - 1) * bound)

    @classmethod
    def from_vocab(
        cls, backbone: Backbone, length: int, seed: int = 0, common: int = COMMON_ENTRIES
    ) -> SoftPrompt:
        """Embeddings of entries drawn without repetition from the most common of the vocabulary.

        Raises:
            LabError: for a length below 1, or above the number of entries to draw from.
        """
        ids = common_entries(backbone, common, at_least=_positive(length))
        if length > len(ids):
            raise LabError(f"length={length} is more than the {len(ids)} entries to draw from")
        chosen = torch.randperm(len(ids), generator=generator(seed))[:length]
        return cls(word_vectors(backbone, torch.tensor(ids)[chosen]))

    @classmethod
    def from_labels(
        cls, backbone: Backbone, length: int, verbalizer: Verbalizer, seed: int = 0
    ) -> SoftPrompt:
        """Class labels first (the mean of a label word's pieces), sampled entries for the rest."""
        words = [word for label in verbalizer.labels for word in verbalizer.words[label]]
        rows = [word_vectors(backbone, pieces(backbone, f" {word}")).mean(0) for word in words]
        start = cls.from_vocab(backbone, length, seed).weight.detach()
        known = torch.stack(rows[:length])
        return cls(torch.cat([known, start[len(known) :]]))

    @classmethod
    def from_text(cls, backbone: Backbone, text: str, length: int | None = None) -> SoftPrompt:
        """Embeddings of a text's pieces, repeated or cut to ``length`` rows (default: as many).

        Raises:
            LabError: for a text without pieces, or a length below 1.
        """
        ids = pieces(backbone, text)
        if not len(ids):
            raise LabError(f"the initial text {text!r} has no pieces; give some words")
        count = len(ids) if length is None else _positive(length)
        return cls(word_vectors(backbone, ids.repeat(-(-count // len(ids)))[:count]))

    @classmethod
    def from_prompt(cls, other: nn.Module) -> SoftPrompt:
        """The virtual tokens of another prompt, as a free parameter of its own."""
        return cls(other())


INITIALISATIONS = ("uniform", "vocab", "labels")


def initialise(
    how: str, backbone: Backbone, length: int, verbalizer: Verbalizer, seed: int = 0
) -> SoftPrompt:
    """A soft prompt by the name of its initialisation: one of ``INITIALISATIONS``, or
    ``text:...`` with the words to start from.

    Raises:
        LabError: for an unknown name, or a length or text that gives no prompt.
    """
    if how == "uniform":
        return SoftPrompt.from_uniform(backbone, length, seed)
    if how == "vocab":
        return SoftPrompt.from_vocab(backbone, length, seed)
    if how == "labels":
        return SoftPrompt.from_labels(backbone, length, verbalizer, seed)
    if how.startswith("text:"):
        return SoftPrompt.from_text(backbone, how.removeprefix("text:"), length)
    raise LabError(
        f"initialisation {how!r} is unknown; choose one of {', '.join(INITIALISATIONS)} or text:..."
    )


def ledger(model: PromptedModel, prompt: nn.Module | None) -> dict[str, tuple[int, int]]:
    """What is trained: part → (trained parameters, all parameters).

    There is no classification head to hide anything in: label scores come from the backbone itself.
    """

    def count(module: nn.Module | None) -> tuple[int, int]:
        parameters = [] if module is None else list(module.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        return trained, sum(p.numel() for p in parameters)

    return {"prompt": count(prompt), "head": (0, 0), "backbone": count(model.backbone)}


def _positive(length: int) -> int:
    if length < 1:
        raise LabError(f"length={length}: a prompt needs at least one virtual token")
    return length
