"""Soft prompts (Lester et al. 2021): a matrix of virtual tokens, and nothing else, is trained.

    input of the frozen model:  [P; X]   with P = prompt (p, D) and X = embedded text (n, D)

This module holds the matrix itself, the ways to initialise it (section 3.1 of the paper and the
ablation of figure 3b), what it looks like from the vocabulary's side (section 7, nearest tokens),
the ledger of what is trained, and the file format, which is PEFT's: a prompt saved here opens with
`PeftModel.from_pretrained`, and one that PEFT trained opens here.

Usage::

    prompt = SoftPrompt.from_vocab(backbone, length=20, seed=0)
    prompt()                                    # (20, D)
    save_prompt("prompts/mine", prompt, model)
    prompt, card = load_prompt("prompts/mine")
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Template, Verbalizer

UNIFORM_BOUND = 0.5
COMMON_ENTRIES = 5000
WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "labkit.json"
PEFT_KEY = "prompt_embeddings"


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
        draw = torch.rand(_positive(length), backbone.hidden_size, generator=_generator(seed))
        return cls((2 * draw - 1) * bound)

    @classmethod
    def from_vocab(
        cls, backbone: Backbone, length: int, seed: int = 0, common: int = COMMON_ENTRIES
    ) -> SoftPrompt:
        """Embeddings of entries drawn without repetition from the most common of the vocabulary."""
        ids = common_entries(backbone, common)
        if _positive(length) > len(ids):
            raise LabError(f"length={length} is more than the {len(ids)} entries to draw from")
        chosen = torch.randperm(len(ids), generator=_generator(seed))[:length]
        return cls(_table(backbone)[torch.tensor(ids)[chosen]])

    @classmethod
    def from_labels(
        cls, backbone: Backbone, length: int, verbalizer: Verbalizer, seed: int = 0
    ) -> SoftPrompt:
        """Class labels first (the mean of a label word's pieces), sampled entries for the rest."""
        words = [word for label in verbalizer.labels for word in verbalizer.words[label]]
        rows = [_table(backbone)[_pieces(backbone, f" {word}")].mean(0) for word in words]
        start = cls.from_vocab(backbone, length, seed).weight.detach()
        known = torch.stack(rows[:length])
        return cls(torch.cat([known, start[len(known) :]]))

    @classmethod
    def from_text(cls, backbone: Backbone, text: str, length: int | None = None) -> SoftPrompt:
        """Embeddings of a text's pieces, repeated or cut to ``length`` rows (default: as many)."""
        ids = _pieces(backbone, text)
        if not len(ids):
            raise LabError(f"the initial text {text!r} has no pieces; give some words")
        count = len(ids) if length is None else _positive(length)
        return cls(_table(backbone)[ids.repeat(-(-count // len(ids)))[:count]])

    @classmethod
    def from_prompt(cls, other: nn.Module) -> SoftPrompt:
        """The virtual tokens of another prompt, as a free parameter of its own."""
        return cls(other())


INITIALISATIONS = ("uniform", "vocab", "labels")


def initialise(
    how: str, backbone: Backbone, length: int, verbalizer: Verbalizer, seed: int = 0
) -> SoftPrompt:
    """A soft prompt by the name of its initialisation: one of ``INITIALISATIONS``, or
    ``text:...`` with the words to start from."""
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


def common_entries(backbone: Backbone, count: int = COMMON_ENTRIES) -> list[int]:
    """Ids of the ``count`` most common words of the vocabulary.

    Tokenizers don't store frequencies, but all of them list their entries with the frequent ones
    first: byte-pair merges in the order in which they were learnt, SentencePiece by probability,
    BERT's word pieces by count. So the first ``count`` entries are taken that are words or parts of
    words of at least two letters; special, unused and single-character entries are left out.
    """
    tokenizer = backbone.tokenizer
    special = set(tokenizer.all_special_ids)
    size = min(len(tokenizer), len(_table(backbone)))
    found: list[int] = []
    for index, token in enumerate(tokenizer.convert_ids_to_tokens(list(range(size)))):
        letters = token.lstrip("Ġ▁#")
        if index not in special and len(letters) > 1 and letters.isalpha():
            found.append(index)
            if len(found) == count:
                break
    return found


# ---- what a prompt looks like from the vocabulary's side ----


class Neighbours(NamedTuple):
    """Nearest vocabulary entries of each virtual token, by cosine.

    Attributes:
        tokens: (P, k) entries, nearest first; cosines: (P, k).
    """

    tokens: list[list[str]]
    cosines: Tensor


def nearest_tokens(backbone: Backbone, vectors: Tensor, k: int = 5) -> Neighbours:
    """The ``k`` vocabulary entries nearest to each row of ``vectors`` (P, D), by cosine.

    Lester et al. 2021, section 7. Read them beside those of random vectors and of the
    initialisation: every vector has nearest neighbours, trained or not.
    """
    table = F.normalize(_table(backbone).float(), dim=-1)  # (V, D)
    cosines, ids = (F.normalize(vectors.detach().float().cpu(), dim=-1) @ table.T).topk(k)
    tokenizer = backbone.tokenizer
    return Neighbours([[tokenizer.decode([i]) for i in row] for row in ids.tolist()], cosines)


def random_vectors(backbone: Backbone, length: int, seed: int = 0) -> Tensor:
    """Gaussian rows with the mean and spread of the word-embedding table: (length, D).

    The control for :func:`nearest_tokens`: what neighbours does a vector have that means nothing?
    """
    table = _table(backbone).float()
    draw = torch.randn(length, table.shape[1], generator=_generator(seed))
    return table.mean(0) + draw * table.std(0)


def neighbour_counts(neighbours: Neighbours, verbalizer: Verbalizer) -> dict[str, int]:
    """Virtual tokens with a label word among their neighbours, and those that share their nearest
    neighbour with another one."""
    words = {w.strip().lower() for options in verbalizer.words.values() for w in options}
    nearest = [row[0].strip().lower() for row in neighbours.tokens]
    return {
        "virtual tokens": len(nearest),
        "near a label word": sum(
            any(token.strip().lower() in words for token in row) for row in neighbours.tokens
        ),
        "sharing their nearest token": sum(nearest.count(token) > 1 for token in nearest),
    }


def ledger(model: PromptedModel, prompt: nn.Module | None) -> dict[str, tuple[int, int]]:
    """What is trained: part → (trained parameters, all parameters).

    There is no classification head to hide anything in: label scores come from the backbone itself.
    """

    def count(module: nn.Module | None) -> tuple[int, int]:
        parameters = [] if module is None else list(module.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        return trained, sum(p.numel() for p in parameters)

    return {"prompt": count(prompt), "head": (0, 0), "backbone": count(model.backbone)}


# ---- files ----


@dataclass(frozen=True)
class PromptCard:
    """What is known about a saved prompt (``labkit.json``).

    Attributes:
        backbone, revision: the model it was made for.
        template, verbalizer, bos, sentinel, positions: how it is used, as in `PromptedModel`.
        command, seed, scores: how it was made, and what it reached.
        folded_from: the module that wrote these vectors while training, such as PromptEncoder;
            empty where they were trained themselves.
    """

    backbone: str
    revision: str
    template: str
    verbalizer: dict[str, tuple[str, ...]]
    bos: str = "text"
    sentinel: bool = False
    positions: bool = True
    command: str = ""
    seed: int | None = None
    scores: dict[str, object] | None = None
    folded_from: str = ""

    def model(self, backbone: Backbone) -> PromptedModel:
        """The model as it was when the prompt was trained."""
        return PromptedModel(
            backbone,
            Template(self.template),
            Verbalizer(self.verbalizer),
            bos=self.bos,
            sentinel=self.sentinel,
            positions=self.positions,
        )


def save_prompt(
    folder: str | Path,
    prompt: nn.Module,
    model: PromptedModel,
    *,
    command: str = "",
    seed: int | None = None,
    scores: Mapping[str, object] | None = None,
) -> list[str]:
    """Save a prompt as PEFT's folder and ``labkit.json``; an earlier one is replaced as a whole.

    Returns:
        Warnings: what PEFT can't express of this prompt's layout (none where exchange is exact).

    Raises:
        LabError: for a prompt that the model can't take, or a folder that can't be written; an
            earlier prompt there stays as it was.
    """
    folder = Path(folder)
    with torch.no_grad():  # as in scoring: an LSTM's last bits differ where gradients are kept
        vectors = model.vectors(prompt).float().cpu()
    card = PromptCard(
        backbone=model.backbone.name,
        revision=model.backbone.revision,
        template=model.template.text,
        verbalizer=model.verbalizer.words,
        bos=model.bos,
        sentinel=model.sentinel,
        positions=model.positions,
        command=command,
        seed=seed,
        scores=dict(scores or {}),
        folded_from="" if isinstance(prompt, SoftPrompt) else type(prompt).__name__,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write_peft(aside, vectors, model.backbone)
            text = json.dumps(card.__dict__, indent=2, ensure_ascii=False)
            (aside / CARD).write_text(text + "\n", encoding="utf-8")
            _make_readable(aside)
            _replace_folder(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"the prompt cannot be written to {folder} ({error}); make room or choose another "
            "folder (a prompt saved there earlier is intact)"
        ) from error
    return _exchange_warnings(model)


def load_prompt(folder: str | Path) -> tuple[SoftPrompt, PromptCard | None]:
    """Open a prompt saved here or by PEFT; the card is None for one that PEFT saved.

    Raises:
        LabError: for a folder without a prompt, a damaged file, or another PEFT method.
    """
    folder = Path(folder)
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise LabError(
            f"{folder} holds no saved prompt ({CONFIG} and {WEIGHTS}); give a folder written by "
            "`labkit tune` or by PEFT's save_pretrained"
        )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        kind, length = config["peft_type"], config["num_virtual_tokens"]
        card = _read_card(folder / CARD)
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise _damaged(folder, error) from error
    if kind != "PROMPT_TUNING" or PEFT_KEY not in tensors:
        raise LabError(
            f"{folder} holds a {kind} adapter, not a soft prompt; only prompt tuning can be opened "
            "here"
        )
    # PEFT gives T5 a second block for the decoder, and never uses it
    vectors = tensors[PEFT_KEY][:length]
    if len(vectors) != length:
        raise _damaged(folder, f"{len(vectors)} virtual tokens where {CONFIG} says {length}")
    return SoftPrompt(vectors), card


def load_for(backbone: Backbone, folder: str | Path) -> tuple[SoftPrompt, PromptCard | None]:
    """As :func:`load_prompt`, refusing a prompt that was made for another backbone."""
    prompt, card = load_prompt(folder)
    if card is not None and card.backbone != backbone.name:
        raise LabError(
            f"the prompt in {folder} was made for {card.backbone}, not for {backbone.name}; "
            f"load the backbone {card.backbone}"
        )
    return prompt, card


def _write_peft(folder: Path, vectors: Tensor, backbone: Backbone) -> None:
    # PEFT takes two seconds to import, and most commands save nothing
    from peft import PromptTuningConfig, TaskType
    from safetensors.torch import save_file

    task_type = {"causal": TaskType.CAUSAL_LM, "seq2seq": TaskType.SEQ_2_SEQ_LM}
    config = backbone.model.config
    PromptTuningConfig(
        task_type=task_type.get(backbone.readout, TaskType.FEATURE_EXTRACTION),
        base_model_name_or_path=backbone.name,
        inference_mode=True,
        num_virtual_tokens=len(vectors),
        token_dim=vectors.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=config.num_attention_heads,
        num_layers=config.num_hidden_layers,
    ).save_pretrained(str(folder))
    save_file({PEFT_KEY: vectors.contiguous()}, folder / WEIGHTS, metadata={"format": "pt"})


def _make_readable(folder: Path) -> None:
    """A prompt is there to be passed on; mkdtemp and safetensors make what they write private."""
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o755)


def _exchange_warnings(model: PromptedModel) -> list[str]:
    warnings = []
    if not model.template.leads_with_soft or model.bos != "text":
        warnings.append(
            f"PEFT puts all virtual tokens in front; the layout {model.template.text!r} "
            f"(bos={model.bos!r}) is kept in {CARD} only, and scores differ when PEFT opens it"
        )
    if not model.positions:
        warnings.append(
            f"PEFT gives every virtual token a position; that this prompt was trained without is "
            f"kept in {CARD} only, and scores differ when PEFT opens it"
        )
    return warnings


def _read_card(file: Path) -> PromptCard | None:
    if not file.is_file():
        return None
    known = json.loads(file.read_text(encoding="utf-8"))
    known["verbalizer"] = {label: tuple(words) for label, words in known["verbalizer"].items()}
    return PromptCard(**known)


def _damaged(folder: Path, why: object) -> LabError:
    return LabError(f"the prompt in {folder} is damaged ({why}); save it again or fetch it anew")


def _replace_folder(new: Path, folder: Path) -> None:
    """Move ``new`` to ``folder``; whatever stands there is put back if the move fails."""
    old = new.with_name(new.name + "-old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:  # Ctrl-C too
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _table(backbone: Backbone) -> Tensor:
    """The word-embedding table on the CPU: (V, D)."""
    return backbone.model.get_input_embeddings().weight.detach().cpu()


def _pieces(backbone: Backbone, text: str) -> Tensor:
    return torch.tensor(
        backbone.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.long
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _positive(length: int) -> int:
    if length < 1:
        raise LabError(f"length={length}: a prompt needs at least one virtual token")
    return length
