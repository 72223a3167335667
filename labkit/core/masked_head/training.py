"""Training of a masked head: a low-rank change of MiniLM's body, and a head that predicts words.

all-MiniLM-L6-v2 comes without a head that predicts words, and a head alone learns nothing on its
frozen body: the last layers were trained to be averaged. So every linear layer W of the body gets a
change of low rank, W + BA (LoRA, Hu et al. 2021), which is trained together with the head and with
the vector of ``[MASK]``, an id that the body never met. The word embeddings stay as they are and
serve as the output's table too.

Everything random follows from the seed and the number of the step, so a run that was interrupted
goes on from its last checkpoint to the same result.

Usage::

    train_masked_head(folder, gather_texts(["rt-polarity"]), MaskedRecipe(steps=1500))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import assets
from labkit.core.attention import use_plain_products
from labkit.core.downloads import sha256
from labkit.core.errors import LabError
from labkit.core.files import file_aside
from labkit.core.loading import fast_dtype
from labkit.core.masked_head.batches import (
    MASKED,
    MOST_PIECES,
    MaskedBatch,
    batches,
    cut,
    mask_pieces,
)
from labkit.core.masked_head.measure import measure
from labkit.core.masked_head.storage import ADAPTER, HEAD, load_body, save_masked_head
from labkit.core.masked_head.texts import Texts

BASE = "minilm"

OnStep = Callable[[int, int, float], None]
"""Called after each step with (steps done, steps in all, loss)."""


@dataclass(frozen=True)
class MaskedRecipe:
    """How a masked head is trained; what is not said here is Adam's default, weights decay by 0.01.

    Attributes:
        rank: of the change of each linear layer, at scale 1.
        batch_pieces: pieces in a batch, padding included; most_pieces: a longer text is cut.
        lr: reached after ``warmup`` steps; it falls in a line to 0 over the last ``decay`` part.
        masked: share of the pieces masked at first. It falls by 0.15 in 2,400 steps, down to the
            share that is measured: many gaps teach more at first, few fit the measure later
            (Ankner et al. 2023).
    """

    steps: int = 1500
    seed: int = 0
    rank: int = 32
    batch_pieces: int = 1024
    most_pieces: int = MOST_PIECES
    lr: float = 2e-3
    warmup: int = 50
    decay: float = 0.6
    masked: float = 0.30

    def lr_at(self, step: int) -> float:
        left = (self.steps - step) / max(1, round(self.decay * self.steps))
        return self.lr * min(1.0, (step + 1) / self.warmup, left)

    def masked_at(self, step: int) -> float:
        return max(MASKED, self.masked - 0.15 * step / 2400)


def train_masked_head(
    folder: Path,
    texts: Texts,
    recipe: MaskedRecipe | None = None,
    *,
    command: str = "",
    resume: bool = False,
    every: int = 200,
    on_step: OnStep | None = None,
) -> dict[str, object]:
    """Train, write the folder that :mod:`~labkit.core.masked_head` reads, and measure it as read.

    Args:
        command: for the card; every: steps between checkpoints, which lie beside ``folder`` until
            it is written; resume: go on from one.

    Returns:
        The card: base, recipe, texts, held-out accuracy and perplexity, and checksums.

    Raises:
        LabError: without MiniLM, with too few texts, or for a checkpoint of another run.
    """
    recipe = recipe or MaskedRecipe()
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets.locate(BASE))
    pieces = cut(texts.training, tokenizer, recipe.most_pieces)
    if not pieces:
        raise LabError("there is no text of some words to train on; give more tasks or a folder")
    model = _InTraining(tokenizer, pieces, recipe)
    checkpoint = folder.with_name(folder.name + ".checkpoint")
    run = _Run(model, pieces, recipe, checkpoint, texts.sha256())
    if resume:
        run.resume()
    run.train(every, on_step or (lambda done, total, loss: None))
    card: dict[str, object] = {
        "base": {"name": BASE, "version": assets.ASSETS[BASE].version},
        "command": command,
        "recipe": asdict(recipe),
        "texts": {
            "from": texts.sources,
            "count": len(pieces),
            "pieces": sum(map(len, pieces)),
            "sha256": texts.sha256(),
        },
    }
    save_masked_head(folder, BASE, model.changes(), model.head_tensors(), card)
    card["held_out"] = asdict(measure(folder, texts.held_out))
    card["sha256"] = {name: sha256(folder / name) for name in (ADAPTER, HEAD)}
    save_masked_head(folder, BASE, model.changes(), model.head_tensors(), card)
    run.checkpoint.unlink(missing_ok=True)
    return card


# ---- the model in training ----


class _LowRank(nn.Module):
    """A frozen linear layer and its change: x → Wx + b + BAx, with B from zero."""

    def __init__(self, linear: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", linear.weight.detach())
        self.register_buffer("bias", linear.bias.detach())
        spread = torch.rand(rank, linear.in_features, generator=generator) * 2 - 1
        self.A = nn.Parameter(spread / math.sqrt(linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, self.A), self.B)


class _Head(nn.Module):
    """BERT's masked-LM head with a map into the space of the word embeddings.

    ``bias`` (V,) starts as the log of each piece's frequency, the two maps from the identity.
    """

    def __init__(self, width: int, bias: Tensor) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.output = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        nn.init.eye_(self.output.weight)
        self.bias = nn.Parameter(bias)

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(M, D) hidden states and the (V, D) word embeddings → (M, V) logits."""
        return self.output(self.norm(F.gelu(self.dense(hidden)))) @ table.T + self.bias


class _InTraining(nn.Module):
    """MiniLM with low-rank changes, the vector of the mask, and the head."""

    def __init__(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        pieces: Sequence[Sequence[int]],
        recipe: MaskedRecipe,
    ) -> None:
        super().__init__()
        body = load_body(assets.locate(BASE))
        use_plain_products(body)
        self.body = body.requires_grad_(False).eval()  # no dropout
        self.mask_id = tokenizer.mask_token_id
        self.table = body.embeddings.word_embeddings.weight.detach()
        dtype = fast_dtype(self.table.device)
        self.low = dtype == torch.bfloat16
        generator = torch.Generator().manual_seed(recipe.seed)
        for name, linear in list(body.encoder.named_modules()):
            if isinstance(linear, nn.Linear):
                change = _LowRank(linear.to(dtype), recipe.rank, generator)
                body.encoder.set_submodule(name, change)
        self.mask_vector = nn.Parameter(self.table[self.mask_id].clone())
        self.head = _Head(self.table.shape[1], _log_frequency(pieces, len(self.table)))
        self.output_table = self.table.to(dtype)

    def loss(self, batch: MaskedBatch) -> Tensor:
        """Cross entropy of the pieces in the gaps; products in bf16 where the machine has it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            gaps = (batch.ids == self.mask_id)[..., None]
            embedded = torch.where(gaps, self.mask_vector, self.table[batch.ids])  # (B, T, D)
            hidden = self.body(inputs_embeds=embedded, attention_mask=batch.mask).last_hidden_state
            logits = self.head(hidden.flatten(0, 1)[batch.places], self.output_table)
        return F.cross_entropy(logits.float(), batch.targets)

    def trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def changes(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Module of the body → A, B."""
        modules = self.body.named_modules()
        return {name: (m.A, m.B) for name, m in modules if isinstance(m, _LowRank)}

    def head_tensors(self) -> dict[str, Tensor]:
        return {"mask_vector": self.mask_vector, **self.head.state_dict()}


def _log_frequency(pieces: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
    """(V,): a piece that never occurs counts as a tenth of one that occurs once."""
    count = np.bincount([i for row in pieces for i in row[1:-1]], minlength=vocabulary) + 0.1
    return torch.from_numpy(np.log(count / count.sum())).float()


def _stream(lengths: Sequence[int], recipe: MaskedRecipe) -> Iterator[np.ndarray]:
    """Batches of one epoch after the other, without end."""
    for epoch in itertools.count():
        yield from batches(lengths, recipe.batch_pieces, recipe.seed, epoch)


class _Run:
    """The steps of a training, and their checkpoint."""

    def __init__(
        self,
        model: _InTraining,
        pieces: Sequence[Sequence[int]],
        recipe: MaskedRecipe,
        checkpoint: Path,
        texts: str,
    ) -> None:
        self.model, self.pieces, self.recipe = model, pieces, recipe
        self.checkpoint = checkpoint
        self.settings = {**asdict(recipe), "texts": texts}
        self.optimizer = torch.optim.AdamW(
            model.trained().values(), lr=recipe.lr, weight_decay=0.01, betas=(0.9, 0.98)
        )
        self.done = 0

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one.

        Raises:
            LabError: if it is of a run with other settings or texts.
        """
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if state["settings"] != self.settings:
            other = [k for k, v in self.settings.items() if state["settings"].get(k) != v]
            raise LabError(
                f"{self.checkpoint} is of a run with another {', '.join(other)}; give the same "
                "settings, or leave out --resume to begin anew"
            )
        for name, parameter in self.model.trained().items():
            parameter.data.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]

    def train(self, every: int, on_step: OnStep) -> None:
        stream = _stream([len(row) for row in self.pieces], self.recipe)
        for indices in itertools.islice(stream, self.done, self.recipe.steps):
            loss = self._step([self.pieces[i] for i in indices])
            self.done += 1
            on_step(self.done, self.recipe.steps, loss)
            if self.done % every == 0 and self.done < self.recipe.steps:
                self._save()

    def _step(self, rows: Sequence[Sequence[int]]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(self.done)
        rng = np.random.default_rng((self.recipe.seed, 1, self.done))
        share = self.recipe.masked_at(self.done)
        loss = self.model.loss(mask_pieces(rows, share, self.model.mask_id, rng))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.trained().values(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _save(self) -> None:
        state = {
            "settings": self.settings,
            "done": self.done,
            "weights": {name: p.data for name, p in self.model.trained().items()},
            "optimizer": self.optimizer.state_dict(),
        }
        with file_aside(self.checkpoint) as aside:
            torch.save(state, aside)
