"""P-Tuning (Liu et al. 2021): virtual tokens written by a small network instead of stored freely.

    embedding (P, width) ──▶ BiLSTM ──▶ two-layer MLP ──▶ + offset ──▶ virtual tokens (P, D)

The network ties the virtual tokens to each other; in Lester's soft prompt each row is on its own.
It is needed while training only: what is saved is its output, a plain matrix. Virtual tokens may
stand anywhere between the words, and words that stay words beside them are the paper's anchors::

    model = PromptedModel(backbone, "{soft:3}{text}{soft:3} It was {mask}", verbalizer)
    encoder = PromptEncoder.from_text(backbone, "Here is a film review", length=6)
    fit(model, encoder, task, steps=200)
    save_prompt("prompts/mine", encoder, model)    # folded: opens as a SoftPrompt
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Soft, Template, Words, spell
from labkit.soft_prompt import SoftPrompt

ENCODERS = ("lstm", "mlp")
WIDTH = 128
ANCHORS = (":", "?")
"""What stays a word when a hard prompt's words become virtual tokens."""


class PromptEncoder(nn.Module):
    """P virtual tokens as the output of a small trained network (Liu et al. 2021, section 3.2).

    The first output is ``start``. A fresh network writes rows of another size than word embeddings,
    and a frozen model was never shown such rows. So the last layer is scaled until its output is
    spread as ``start`` is, and a constant offset, which is not trained, moves it onto ``start``.

    Args:
        start: (P, D) virtual tokens to begin with.
        kind: ``lstm`` (bidirectional, two layers, then the MLP) or ``mlp`` (the MLP alone).
        width: size of the embedding and of the network's inner layers.
        seed: of the network's own starting weights.

    Raises:
        LabError: for an unknown kind, an odd or too small width, or a start that is no matrix.
    """

    offset: Tensor

    def __init__(
        self, start: Tensor, kind: str = "lstm", width: int = WIDTH, seed: int = 0
    ) -> None:
        super().__init__()
        if kind not in ENCODERS:
            raise LabError(f"encoder {kind!r} is unknown; choose one of {', '.join(ENCODERS)}")
        if width < 2 or width % 2:
            raise LabError(
                f"width={width}: the two directions share it, give an even number from 2 on"
            )
        start = SoftPrompt(start)().detach()  # checked, copied, fp32
        length, hidden_size = start.shape
        self.kind = kind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Parameter(torch.randn(length, width))
            self.lstm = (
                nn.LSTM(width, width // 2, num_layers=2, bidirectional=True)
                if kind == "lstm"
                else None
            )
            self.mlp = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, hidden_size)
            )
        self.register_buffer("offset", torch.zeros_like(start))
        self._begin_at(start)

    def forward(self) -> Tensor:
        """The virtual tokens: (P, D); independent of the batch, so computed once per step."""
        hidden = self.embedding  # (P, width)
        if self.lstm is not None:
            hidden, _ = self.lstm(hidden)  # (P, 2 · width/2)
        return self.mlp(hidden) + self.offset

    def __len__(self) -> int:
        return len(self.embedding)

    @torch.no_grad()  # torch has another LSTM for scoring, whose last bits differ
    def fold(self) -> SoftPrompt:
        """The virtual tokens as they are now, without the network."""
        return SoftPrompt(self())

    @classmethod
    def from_prompt(cls, prompt: nn.Module, kind: str = "lstm", **settings: int) -> PromptEncoder:
        """Begin at the virtual tokens of another prompt."""
        return cls(prompt(), kind, **settings)

    @classmethod
    def from_text(
        cls,
        backbone: Backbone,
        text: str,
        length: int | None = None,
        kind: str = "lstm",
        **settings: int,
    ) -> PromptEncoder:
        """Begin at the words of a hard prompt, as :meth:`SoftPrompt.from_text` lays them out."""
        return cls.from_prompt(SoftPrompt.from_text(backbone, text, length), kind, **settings)

    @torch.no_grad()
    def _begin_at(self, start: Tensor) -> None:
        spread, wanted = self().std(), start.std()
        if wanted > 0 and spread > 0:  # identical numbers have no spread to copy
            for parameter in self.mlp[-1].parameters():  # weight and bias
                parameter.mul_(wanted / spread)
        self.offset.copy_(start - self())


class Laid(NamedTuple):
    """A hard prompt with virtual tokens in the place of its words.

    Attributes:
        model: the same, with ``{soft:n}`` in its template where words stood, anchors kept.
        start: the embeddings of those words: with them the scores are still the hard prompt's
            (to the last bits, where the tokenizer cuts the words alone as it cuts them in place).
    """

    model: PromptedModel
    start: SoftPrompt


def lay_virtual_tokens(model: PromptedModel, anchors: Sequence[str] = ANCHORS) -> Laid:
    """Replace the words of a hard prompt by virtual tokens that begin as these words.

    ``"Review: {text} It was {mask}"`` becomes ``"{soft:1}: {text}{soft:2} {mask}"``. Spaces and
    anchors at the end of a stretch of words stay words (Liu et al. 2021, section 3.2: a few words
    kept beside the virtual tokens help).

    Raises:
        LabError: for a template that has virtual tokens already, or no words to replace.
    """
    template = model.template
    if template.has_soft:
        raise LabError(f"template {template.text!r} has virtual tokens already; give a hard prompt")
    line, rows = "", []
    for part in template.parts:
        words, kept = _cut_anchors(part.text, anchors) if isinstance(part, Words) else ("", "")
        if words.strip():
            rows.append(SoftPrompt.from_text(model.backbone, words)().detach())
            line += spell(Soft(len(rows[-1]))) + spell(Words(kept))
        else:
            line += spell(part)
    if not rows:
        raise LabError(f"template {template.text!r} has no words to replace; write some")
    before, _ = model.backbone.special_tokens()
    changed = model.with_changes(template=Template(line), bos="first" if before else model.bos)
    return Laid(changed, SoftPrompt(torch.cat(rows)))


def _cut_anchors(words: str, anchors: Sequence[str]) -> tuple[str, str]:
    """The stretch without its last spaces and anchors, and these."""
    rest, before = words.rstrip(), None
    while rest != before:
        before = rest
        for anchor in anchors:
            rest = rest.removesuffix(anchor).rstrip()
    return rest, words[len(rest) :]
