"""Loading: from a model's name to a backbone behind its readout.

A model is refused here rather than scored wrongly later: for weights that its files lack, for files
that hold no weights, for a tokenizer that knows no words, and for a forward pass that the readout
can't follow (proofs.py).

Usage::

    backbone = load_backbone("smollm2")              # a default model, from the cache
    backbone = load_backbone("bert-base-uncased")    # any Hub id or local folder
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from labkit.core import assets, masked_head, proofs
from labkit.core.backbones import Backbone
from labkit.core.conversions import quiet_transformers
from labkit.core.errors import LabError, first_line
from labkit.core.fingerprints import weights_fingerprint
from labkit.core.limits import max_length
from labkit.core.readouts import CausalBackbone, EncoderBackbone, MaskedBackbone, Seq2SeqBackbone
from labkit.core.templates import READOUTS

_CLASSES = {
    cls.readout: cls for cls in (MaskedBackbone, CausalBackbone, Seq2SeqBackbone, EncoderBackbone)
}
_AUTO = {
    "mlm": transformers.AutoModelForMaskedLM,
    "causal": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "encoder": transformers.AutoModel,
}
_ARCHITECTURES: dict[str, set[Any]] = {
    "mlm": set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()),
    "causal": set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()),
    "seq2seq": set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values()),
    "encoder": set(modeling_auto.MODEL_MAPPING_NAMES.values()),
}
_ENCODERS_OF_TWO = set(modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.values())
"""Encoders that were cut out of an encoder–decoder model, such as T5EncoderModel."""

NAMED = (*assets.MODELS, *masked_head.BUNDLED)
"""Models that are known by a name of ours and need no network once they are fetched."""

_FEWEST_ENTRIES = 10
_LFS_POINTER = b"version https://git-lfs"


def load_backbone(
    name: str,
    *,
    trainable: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> Backbone:
    """Load a language model behind its readout, frozen unless ``trainable``.

    Args:
        name: one of :data:`NAMED`, a Hub id, or a folder in Hugging Face's format.
        trainable: for the fine-tuning baseline; the weights are then kept in fp32.
        device: default: the GPU if there is one, else the CPU.
        dtype: default: ``LABKIT_DTYPE``, else bf16 where the machine multiplies it natively, else
            fp32.
        revision: commit or tag of a Hub model.

    Raises:
        LabError: if there is no such device or model, if it has none of the four readouts, lacks
            weights or a tokenizer, or can't be scored as its own forward pass scores.
    """
    folder = _folder(name)
    device = require_device(device)
    if dtype is None:
        dtype = torch.float32 if trainable else fast_dtype(device)
    _refuse_pointers(name, folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, revision=revision)
        readout = _readout(name, config)
        with quiet_transformers():
            model, report = _model(folder, readout, config, dtype, revision)
    except LabError:
        raise
    except Exception as error:  # a damaged configuration leads to whatever its entries are used for
        raise _not_loaded(name, error) from error
    _refuse_gaps(name, readout, report["missing_keys"], report["unexpected_keys"])
    _refuse_other_embeddings(name, model)
    tokenizer = _tokenizer(name, _with_tokenizer(folder), revision)
    # a local folder is known by its own name: where it lies is nobody else's business
    known_as = Path(name).resolve().name if Path(name).is_dir() else name
    backbone = _CLASSES[readout](
        known_as,
        model,
        tokenizer,
        max_length=max_length(model, tokenizer),
        revision=_exactly(name, folder, config, revision),
        trainable=trainable,
    ).to(device)
    proofs.settle(backbone)
    return backbone


def require_device(wanted: str | torch.device | None) -> torch.device:
    """The device that is asked for; None: the GPU where there is one.

    Raises:
        LabError: where there is no such device.
    """
    try:
        device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise LabError(
            f"there is no device {str(wanted)!r} here ({first_line(error)}); give cpu, or leave "
            "it out and the GPU is taken where there is one"
        ) from error
    return device


def _model(
    folder: str,
    readout: str,
    config: transformers.PretrainedConfig,
    dtype: torch.dtype,
    revision: str | None,
) -> tuple[transformers.PreTrainedModel, dict]:
    """The model, and transformers' report of names that its files lack or have besides."""
    if masked_head.holds_masked_head(Path(folder)):
        whole: dict[str, set[str]] = {"missing_keys": set(), "unexpected_keys": set()}
        return masked_head.load_masked_lm(Path(folder), dtype), whole
    return _auto_class(readout, config).from_pretrained(
        folder, revision=revision, dtype=dtype, output_loading_info=True
    )


def config_of(name: str, revision: str | None = None) -> transformers.PretrainedConfig:
    """The configuration of a model; no weights are read.

    Raises:
        LabError: if there is no such model.
    """
    try:
        return transformers.AutoConfig.from_pretrained(_folder(name), revision=revision)
    except Exception as error:  # as above
        raise _not_loaded(name, error) from error


def readout_of(name: str) -> str:
    """The readout of a model, from its configuration alone.

    Raises:
        LabError: if there is no such model, or it has none of the four readouts.
    """
    return _readout(name, config_of(name))


def has_bos(name: str) -> bool:
    """Whether a text of this model can begin with a special token: one that its tokenizer puts
    there, or one that it knows as BOS. No weights are read.

    Raises:
        LabError: if there is no such model, or it comes without a tokenizer.
    """
    tokenizer = _tokenizer(name, _with_tokenizer(_folder(name)), revision=None)
    if tokenizer.bos_token_id is not None:
        return True
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    return tokenizer("a")["input_ids"][: len(bare)] != bare


def fast_dtype(device: torch.device) -> torch.dtype:
    """The precision of frozen models where none is asked for: ``LABKIT_DTYPE``, else bf16 where the
    device has it, else fp32.

    Raises:
        LabError: for a value of ``LABKIT_DTYPE`` that is none of the two.
    """
    name = assets.dtype_name() or ("bfloat16" if has_bf16(device) else "float32")
    return getattr(torch, name)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices natively (emulated bf16 is slower than fp32)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, p, lambda: False)() for p in probes)


def _folder(name: str) -> str:
    """Where to load ``name`` from; a slip in a default model's name fails before any request."""
    if name in assets.MODELS:
        return str(assets.locate(name))
    if name in masked_head.BUNDLED:
        return str(masked_head.BUNDLED[name])
    close = difflib.get_close_matches(name, NAMED, n=1)
    if close and not Path(name).is_dir():
        raise LabError(f"there is no model {name!r}; did you mean {close[0]!r}?")
    return name


def _readout(name: str, config: transformers.PretrainedConfig) -> str:
    """The readout of a configuration.

    Raises:
        LabError: for a model of another kind, or a quantised one.
    """
    if getattr(config, "quantization_config", None):
        raise LabError(
            f"model {name!r} is quantised, and its scores would not be those of its weights; give "
            "the checkpoint that it was made from"
        )
    named = getattr(config, "architectures", None) or []
    if not named:
        raise LabError(
            f"model {name!r}: its config.json names no architecture, so what it can answer is "
            'unknown; add "architectures", such as ["BertForMaskedLM"], to that file'
        )
    architecture = named[0]
    if architecture in _ENCODERS_OF_TWO:
        return "encoder"
    for readout in ("seq2seq",) if config.is_encoder_decoder else READOUTS:
        if architecture in _ARCHITECTURES[readout]:
            return readout
    if config.is_encoder_decoder and architecture in _ARCHITECTURES["encoder"]:
        return "seq2seq"  # saved without its head; where that is tied, nothing is missing
    raise LabError(
        f"model {name!r} ({architecture}) has none of the four readouts; use a masked, causal or "
        "sequence-to-sequence language model, or a plain text encoder"
    )


def _auto_class(readout: str, config: transformers.PretrainedConfig) -> Any:
    if config.architectures[0] in _ENCODERS_OF_TWO:
        return transformers.AutoModelForTextEncoding
    return _AUTO[readout]


def _refuse_pointers(name: str, folder: str) -> None:
    """A clone without Git LFS holds small text files where the weights should be."""
    for file in sorted(Path(folder).glob("*")) if Path(folder).is_dir() else ():
        small = file.is_file() and file.stat().st_size < 1024
        if small and file.read_bytes().startswith(_LFS_POINTER):
            raise LabError(
                f"model {name!r}: {file.name} is a Git LFS pointer, not the file itself; fetch it "
                "with `git lfs pull` in that folder"
            )


def _refuse_gaps(name: str, readout: str, missing: set[str], unexpected: set[str]) -> None:
    """Weights that the files lack have been filled with random numbers."""
    # the encoder readout pools by itself, and never reads the model's own pooler
    gaps = sorted(key for key in missing if not (readout == "encoder" and "pooler." in key))
    if not gaps:
        return
    shown = ", ".join(gaps[:3]) + (f" and {len(gaps) - 3} more" if len(gaps) > 3 else "")
    remedy = "give the complete checkpoint"
    if any(key.startswith("module.") for key in unexpected):
        remedy = 'take the prefix "module." off the names in its weight file (it was saved wrapped)'
    elif readout != "encoder":
        remedy += ', or name the headless class under "architectures" in config.json'
    raise LabError(f"model {name!r} lacks weights: {shown}; {remedy}")


def _refuse_other_embeddings(name: str, model: transformers.PreTrainedModel) -> None:
    """Virtual tokens stand beside word embeddings, so these must be vectors of one width."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        table = None
    if not isinstance(getattr(table, "embedding_dim", None), int):
        raise LabError(
            f"model {name!r} ({type(model).__name__}) keeps its word embeddings in a "
            f"{type(table).__name__}, which gives no plain vectors; use another model of its kind, "
            "such as one of the BERT, GPT, Llama or T5 families"
        )


def _with_tokenizer(folder: str) -> str:
    """The folder that holds a model's tokenizer."""
    if masked_head.holds_masked_head(Path(folder)):
        return str(masked_head.body_folder(Path(folder)))
    return folder


def _exactly(
    name: str, folder: str, config: transformers.PretrainedConfig, revision: str | None
) -> str:
    """Which exact weights, as far as that is known."""
    if name in assets.MODELS:
        return assets.ASSETS[name].version
    if Path(folder).is_dir():
        return weights_fingerprint(Path(folder))
    return getattr(config, "_commit_hash", None) or revision or ""


def _tokenizer(
    name: str, folder: str, revision: str | None
) -> transformers.PreTrainedTokenizerBase:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, revision=revision)
    except Exception as error:  # the tokenizers' own library raises nothing narrower
        if _has_tokenizer_files(folder):
            raise _not_loaded(name, error, "its tokenizer ") from error
        raise _without_tokenizer(name) from error
    special = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    if len(set(tokenizer.get_vocab()) - special) < _FEWEST_ENTRIES:
        raise _without_tokenizer(name)
    return tokenizer


def _has_tokenizer_files(folder: str) -> bool:
    if not Path(folder).is_dir():
        return True  # on the Hub, where an error says what is missing
    patterns = ("*token*", "*vocab*", "*.model", "*.spm", "merges.txt")
    return any(any(Path(folder).glob(pattern)) for pattern in patterns)


def _without_tokenizer(name: str) -> LabError:
    return LabError(
        f"model {name!r} comes without a tokenizer's files, and an empty one would cut every text "
        "into nothing; save the tokenizer beside it (tokenizer.save_pretrained)"
    )


def _not_loaded(name: str, error: Exception, what: str = "") -> LabError:
    return LabError(
        f"model {name!r}: {what}cannot be loaded ({first_line(error)}); give a folder in Hugging "
        "Face's format, or a Hub id while the network is on "
        f"(models that need neither: {', '.join(sorted(NAMED))})"
    )
