"""Saved prompts: PEFT's folder, and beside it ``labkit.json``, which says how to use the prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.files import folder_aside, parse_json
from labkit.core.fingerprints import LOCAL, known_revision
from labkit.core.loading import NAMED, load_backbone
from labkit.core.prompted_model import BOS_PLACES, PromptedModel
from labkit.core.sets import SET, Positions
from labkit.core.templates import Template, Verbalizer
from labkit.soft_prompt.decoder_side import DecoderSide
from labkit.soft_prompt.module import SoftPrompt

WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "labkit.json"
PEFT_KEY = "prompt_embeddings"
_WEIGHT_FILES = (WEIGHTS, "adapter_model.bin")


@dataclass(frozen=True)
class PromptCard:
    """What is known about a saved prompt (``labkit.json``).

    Attributes:
        backbone, revision: the model it was made for.
        template, verbalizer, bos, sentinel, positions: how it is used, as in `PromptedModel`.
        side: ``decoder`` for a prompt in front of the decoder, see `decoder_side`, else empty; only
            a card that has one writes it.
        max_length: positions it is used with, where they are not all of the backbone's; only a card
            that has such a number writes it.
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
    positions: Positions = True
    command: str = ""
    seed: int | None = None
    scores: dict[str, object] | None = None
    folded_from: str = ""
    side: str = ""
    max_length: int | None = None

    def load_backbone(self, dtype: torch.dtype | None = None) -> Backbone:
        """The model that the prompt was made for, in its exact revision.

        Raises:
            LabError: for a local model, of which the card knows no folder.
        """
        if self.backbone in NAMED:
            return load_backbone(self.backbone, dtype=dtype)
        is_local = Path(self.backbone).is_dir()
        if self.revision.startswith(LOCAL) and not is_local:
            raise LabError(
                f"the prompt was made for a model in a folder called {self.backbone} "
                f"({self.revision}); name that folder as its backbone"
            )
        revision = None if is_local else self.revision or None
        return load_backbone(self.backbone, revision=revision, dtype=dtype)

    def model(self, backbone: Backbone) -> PromptedModel:
        """The model as it was when the prompt was trained.

        Raises:
            LabError: for a view of the model that the prompt was not trained with.
        """
        if self.side == DecoderSide.side != backbone.side:
            backbone = DecoderSide.of(backbone)
        require_same_side(backbone, self.side)
        return PromptedModel(
            backbone,
            Template(self.template),
            Verbalizer(self.verbalizer),
            bos=self.bos,
            sentinel=self.sentinel,
            max_length=self.max_length,
            positions=self.positions,
        )


def require_same_side(backbone: Backbone, side: str) -> None:
    """Whether a prompt of this ``side`` (of its card; empty for one that PEFT saved) fits.

    Raises:
        LabError: where it was trained in front of another part of the model.
    """
    if side == backbone.side:
        return
    remedy = "give the model itself, as load_backbone returns it"
    if side == DecoderSide.side:
        remedy = "use card.model(backbone), or DecoderSide.of(backbone)"
    trained, given = (
        f"the {name or 'text that the model reads'}" for name in (side, backbone.side)
    )
    raise LabError(
        f"the prompt was trained in front of {trained}, and would stand in front of {given}; "
        f"{remedy}"
    )


def save_prompt(
    folder: str | Path,
    prompt: nn.Module,
    model: PromptedModel,
    *,
    command: str = "",
    seed: int | None = None,
    scores: Mapping[str, object] | None = None,
    folded_from: str | None = None,
) -> list[str]:
    """Save a prompt as PEFT's folder and ``labkit.json``; an earlier one is replaced as a whole.

    Args:
        folded_from: of a prompt that was folded before; default: the class of ``prompt``.

    Returns:
        Warnings: what PEFT can't express of this prompt's layout (none where exchange is exact).

    Raises:
        LabError: for a prompt that the model can't take, or a folder that can't be written; an
            earlier prompt there stays as it was.
    """
    folder = Path(folder)
    # as in scoring: an LSTM's last bits differ where gradients are kept
    vectors = model.fixed_vectors(prompt).float().cpu()
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
        folded_from=_class_of(prompt) if folded_from is None else folded_from,
        side=model.backbone.side,
        max_length=None if model.max_length == model.backbone.max_length else model.max_length,
    )
    try:
        with folder_aside(folder) as aside:
            _write_peft(aside, vectors, model.backbone)
            (aside / CARD).write_text(_as_json(card), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"the prompt cannot be written to {folder} ({error}); make room or choose another "
            "folder (a prompt saved there earlier is intact)"
        ) from error
    return _exchange_warnings(model)


def _class_of(prompt: nn.Module) -> str:
    return "" if isinstance(prompt, SoftPrompt) else type(prompt).__name__


def load_prompt(folder: str | Path) -> tuple[SoftPrompt, PromptCard | None]:
    """Open a prompt saved here or by PEFT; the card is None for one that PEFT saved.

    PEFT's P-tuning is opened too: what it saves are the virtual tokens that its encoder wrote.

    Raises:
        LabError: for a folder without a prompt, a damaged file, or another kind of adapter.
    """
    folder = Path(folder)
    config = _peft_config(folder)
    kind = str(config["peft_type"])
    if kind not in _OPENS:
        raise LabError(
            f"{folder} holds a {kind} adapter, not a soft prompt: {_REMEDIES.get(kind, _OTHERWISE)}"
        )
    try:
        length = _length(config)
        tensors = _peft_tensors(folder)
        _check_vectors(tensors[PEFT_KEY], length, config)
        card = _read_card(folder / CARD)
    except Exception as error:  # torch and safetensors raise whatever damaged bytes lead to
        raise _damaged(folder, error) from error
    others = sorted(set(tensors) - {PEFT_KEY})
    if others:
        raise LabError(
            f"{folder} brings more than virtual tokens ({', '.join(others[:2])}): a part that was "
            "trained with them, such as a classification head. Scores here come from the language "
            "model alone, so the prompt can't be used without it; train one without a head "
            "(task type CAUSAL_LM, SEQ_2_SEQ_LM or FEATURE_EXTRACTION)"
        )
    # PEFT gives T5 a second block for the decoder, and never uses it
    return SoftPrompt(tensors[PEFT_KEY][:length]), card


_OPENS = ("PROMPT_TUNING", "P_TUNING")
_OTHERWISE = "train a prompt by PROMPT_TUNING or P_TUNING"
_REMEDIES = {
    "LORA": "it changes the model's weights and has no virtual tokens; merge it with PEFT's "
    "merge_and_unload, save the model, and give that folder as the backbone",
    "PREFIX_TUNING": "it holds keys and values for every layer, where a soft prompt is one row per "
    f"virtual token at the input; {_OTHERWISE}",
    "MULTITASK_PROMPT_TUNING": "it holds one prompt and factors for each of its tasks; "
    f"{_OTHERWISE}, for one task",
    "CPT": f"its rows are changes to the tokens of a context; {_OTHERWISE}",
}
"""What to do about adapters of PEFT that hold no soft prompt."""


def _peft_config(folder: Path) -> dict:
    if not (folder / CONFIG).is_file() or not any((folder / w).is_file() for w in _WEIGHT_FILES):
        raise LabError(
            f"{folder} holds no saved prompt ({CONFIG} and {WEIGHTS}); give a folder written by "
            "`labkit tune` or by PEFT's save_pretrained"
        )
    try:
        config = parse_json((folder / CONFIG).read_bytes())
        if not isinstance(config, dict) or "peft_type" not in config:
            raise ValueError(f"{CONFIG} names no peft_type")
    except (ValueError, TypeError, OSError) as error:
        raise _damaged(folder, error) from error
    return config


def _length(config: Mapping) -> int:
    length = config["num_virtual_tokens"]
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise ValueError(
            f"{CONFIG}: num_virtual_tokens is {json.dumps(length)}, no positive number"
        )
    return length


def _peft_tensors(folder: Path) -> dict[str, Tensor]:
    if (folder / WEIGHTS).is_file():
        tensors = load_file(folder / WEIGHTS)
    else:  # save_pretrained(safe_serialization=False); read as data only, nothing is executed
        tensors = torch.load(folder / _WEIGHT_FILES[1], map_location="cpu", weights_only=True)
    if PEFT_KEY not in tensors:
        raise KeyError(PEFT_KEY)
    return tensors


def _check_vectors(vectors: Tensor, length: int, config: Mapping) -> None:
    if vectors.ndim != 2 or not vectors.is_floating_point():
        kind = str(vectors.dtype).removeprefix("torch.")
        raise ValueError(f"{PEFT_KEY} has the shape {tuple(vectors.shape)} and holds {kind}")
    blocks = config.get("num_transformer_submodules")
    if len(vectors) not in (length, length * (2 if blocks is None else blocks)):
        raise ValueError(f"{len(vectors)} virtual tokens where {CONFIG} says {length}")
    if not vectors.isfinite().all():
        raise ValueError("its virtual tokens hold NaN or infinite numbers")


def load_for(backbone: Backbone, folder: str | Path) -> tuple[SoftPrompt, PromptCard | None]:
    """As :func:`load_prompt`, refusing a prompt that was made for another model.

    A default model is known by its version, a Hub model by its commit, a local one by its weights:
    what its folder is called does not matter. A view of the decoder's side takes its own prompts;
    those open for the model itself too, of which the card's ``model`` makes that view.
    """
    folder = Path(folder)
    prompt, card = load_prompt(folder)
    if backbone.side:
        require_same_side(backbone, card.side if card else "")
    if card is not None:
        _require_same_model(backbone, folder, card)
    else:
        _require_named_model(backbone, folder, _peft_config(folder))
    return prompt, card


def _require_same_model(backbone: Backbone, folder: Path, card: PromptCard) -> None:
    same_name, same_revision = card.backbone == backbone.name, card.revision == backbone.revision
    if same_revision and (same_name or card.revision.startswith(LOCAL)):
        return
    remedy = f"load the backbone {card.backbone}"
    if card.revision.startswith(LOCAL):
        remedy = "give the folder of the model that it was made for"
    elif same_name and card.revision:
        remedy = f"load_backbone({card.backbone!r}, revision={card.revision!r}) gives its model"
    elif same_name:
        remedy = (
            "it was saved before models were told apart by their weights; if this is its model, "
            f'write "revision": "{backbone.revision}" into {folder / CARD}'
        )
    made_for, given = card.backbone, backbone.name
    if same_name:
        made_for, given = f"{made_for} ({card.revision})", f"{given} ({backbone.revision})"
    raise LabError(f"the prompt in {folder} was made for {made_for}, not for {given}; {remedy}")


def _require_named_model(backbone: Backbone, folder: Path, config: Mapping) -> None:
    """The model that PEFT's file names, where it names one."""
    named, is_local = config.get("base_model_name_or_path"), backbone.revision.startswith(LOCAL)
    if not named or (named == backbone.name and not is_local):
        return
    if known_revision(named, config.get("revision")) == backbone.revision != "":
        return
    raise LabError(
        f"the prompt in {folder} was made for {named}, not for {backbone.name} "
        f"({backbone.revision or 'unknown revision'}); load that backbone, or, if the two are one "
        f"model, write its name or folder as base_model_name_or_path into {folder / CONFIG}"
    )


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
        # PEFT wants a number; families without attention heads have none, and no use for one
        num_attention_heads=getattr(config, "num_attention_heads", 1),
        num_layers=getattr(config, "num_hidden_layers", None),
    ).save_pretrained(str(folder))
    save_file({PEFT_KEY: vectors.contiguous()}, folder / WEIGHTS, metadata={"format": "pt"})


def _exchange_warnings(model: PromptedModel) -> list[str]:
    warnings = []
    if model.backbone.side:
        warnings.append(
            "PEFT puts virtual tokens in front of what the model reads; that this prompt stands in "
            f"front of the {model.backbone.side} is kept in {CARD} only, and scores differ when "
            "PEFT opens it"
        )
    if not model.template.leads_with_soft or model.bos != "text":
        warnings.append(
            f"PEFT puts all virtual tokens in front; the layout {model.template.text!r} "
            f"(bos={model.bos!r}) is kept in {CARD} only, and scores differ when PEFT opens it"
        )
    if model.positions == SET:
        warnings.append(
            "PEFT lets virtual tokens see each other and gives each a position; that this prompt "
            f"is read as a set is kept in {CARD} only, and scores differ when PEFT opens it"
        )
    if not model.positions:
        warnings.append(
            f"PEFT gives every virtual token a position; that this prompt was trained without is "
            f"kept in {CARD} only, and scores differ when PEFT opens it"
        )
    return warnings


def _as_json(card: PromptCard) -> str:
    known = dict(card.__dict__)
    # cards of ordinary prompts stay as every version writes and reads them
    if not card.side:
        del known["side"]
    if card.max_length is None:
        del known["max_length"]
    return json.dumps(known, indent=2, ensure_ascii=False) + "\n"


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("backbone", "revision", "template", "bos", "command"), str),
    **dict.fromkeys(("folded_from", "side"), str),
    "verbalizer": dict,
    "sentinel": int,  # a truth value is one
    "positions": (int, str),
    "seed": (int, type(None)),
    "scores": (dict, type(None)),
    "max_length": (int, type(None)),
}
"""What each entry of a card may be."""

_VALUES: dict[str, Callable[[object], bool]] = {
    "bos": lambda value: value in BOS_PLACES,
    "sentinel": lambda value: value in (False, True),
    "positions": lambda value: value in (False, True, SET),
    "side": lambda value: value in ("", DecoderSide.side),
    "max_length": lambda value: value is None or (type(value) is int and value > 0),
}
"""Which of those it may be, where not all."""


def _read_card(file: Path) -> PromptCard | None:
    if not file.exists() and not file.is_symlink():
        return None
    known = parse_json(file.read_bytes())
    if not isinstance(known, dict):
        raise ValueError(f"{CARD} is no JSON object")
    entries = {entry.name: entry for entry in fields(PromptCard)}
    unknown = [name for name in known if name not in entries]
    lacking = [n for n, entry in entries.items() if n not in known and entry.default is MISSING]
    if unknown or lacking:
        said = [f"{name} is unknown to this version" for name in unknown]
        raise ValueError(f"{CARD}: {', '.join(said + [f'{name} is missing' for name in lacking])}")
    for name, value in known.items():
        if not isinstance(value, _KINDS[name]) or not _VALUES.get(name, lambda _: True)(value):
            raise ValueError(f"{CARD}: {name} is {json.dumps(value)}")
    for label, words in known["verbalizer"].items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{CARD}: the words of {label!r} are {json.dumps(words)}")
    known["verbalizer"] = {label: tuple(words) for label, words in known["verbalizer"].items()}
    try:
        Template(known["template"]), Verbalizer(known["verbalizer"])
    except LabError as error:
        raise ValueError(f"{CARD}: {error}") from error
    return PromptCard(**known)


def _damaged(folder: Path, why: object) -> LabError:
    return LabError(f"the prompt in {folder} is damaged ({why}); save it again or fetch it anew")
