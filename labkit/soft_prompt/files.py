"""Saved prompts: PEFT's folder, and beside it ``labkit.json``, which says how to use the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.files import folder_aside
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Template, Verbalizer
from labkit.soft_prompt.module import SoftPrompt

WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "labkit.json"
PEFT_KEY = "prompt_embeddings"


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
        with folder_aside(folder) as aside:
            _write_peft(aside, vectors, model.backbone)
            text = json.dumps(card.__dict__, indent=2, ensure_ascii=False)
            (aside / CARD).write_text(text + "\n", encoding="utf-8")
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
    config = backbone.text_config
    PromptTuningConfig(
        task_type=task_type.get(backbone.readout, TaskType.FEATURE_EXTRACTION),
        base_model_name_or_path=backbone.name,
        inference_mode=True,
        num_virtual_tokens=len(vectors),
        token_dim=vectors.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=getattr(config, "num_attention_heads", None),
        num_layers=getattr(config, "num_hidden_layers", None),
    ).save_pretrained(str(folder))
    save_file({PEFT_KEY: vectors.contiguous()}, folder / WEIGHTS, metadata={"format": "pt"})


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
