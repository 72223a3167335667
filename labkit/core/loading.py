"""Loading: from a model's name to a backbone behind its readout.

Usage::

    backbone = load_backbone("smollm2")              # a default model, from the cache
    backbone = load_backbone("bert-base-uncased")    # any Hub id or local folder
"""

from __future__ import annotations

import difflib
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from transformers.models.auto import modeling_auto

from labkit.core import assets
from labkit.core.attention import use_plain_products
from labkit.core.backbones import READOUTS, Backbone
from labkit.core.conversions import quiet_transformers
from labkit.core.errors import LabError
from labkit.core.readouts import CausalBackbone, EncoderBackbone, MaskedBackbone, Seq2SeqBackbone

_CLASSES = {
    cls.readout: cls for cls in (MaskedBackbone, CausalBackbone, Seq2SeqBackbone, EncoderBackbone)
}
_AUTO = {
    "mlm": transformers.AutoModelForMaskedLM,
    "causal": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "encoder": transformers.AutoModel,
}
_ARCHITECTURES = {
    "mlm": set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()),
    "causal": set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()),
    "seq2seq": set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values()),
    "encoder": set(modeling_auto.MODEL_MAPPING_NAMES.values()),
}


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
        name: ``smollm2``, ``minilm``, a Hub id, or a folder in Hugging Face's format.
        trainable: for the fine-tuning baseline; the weights are then kept in fp32.
        device: default: the GPU if there is one, else the CPU.
        dtype: default: bf16 where the machine multiplies it natively, else fp32.
        revision: commit or tag of a Hub model.

    Raises:
        LabError: if the model cannot be had, or has none of the four readouts.
    """
    folder = _folder(name)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if dtype is None:
        dtype = torch.bfloat16 if has_bf16(device) and not trainable else torch.float32
    try:
        config = transformers.AutoConfig.from_pretrained(folder, revision=revision)
        readout = _readout(name, config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, revision=revision)
        with quiet_transformers():
            model = _AUTO[readout].from_pretrained(folder, revision=revision, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise LabError(
            f"model {name!r} cannot be loaded ({_first_line(error)}); give a folder in Hugging "
            "Face's format, or a Hub id while the network is on "
            f"(models that need neither: {', '.join(sorted(assets.MODELS))})"
        ) from error
    if device.type == "cpu":
        use_plain_products(model)
    if name in assets.MODELS:
        exact = assets.ASSETS[name].version
    else:
        exact = revision or getattr(config, "_commit_hash", None) or ""
    # a local folder is known by its own name: where it lies is nobody else's business
    known_as = Path(name).resolve().name if Path(name).is_dir() else name
    backbone = _CLASSES[readout](
        known_as,
        model,
        tokenizer,
        max_length=_max_length(config, tokenizer),
        revision=exact,
        trainable=trainable,
    )
    return backbone.to(device)


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
    close = difflib.get_close_matches(name, assets.MODELS, n=1)
    if close and not Path(name).is_dir():
        raise LabError(f"there is no model {name!r}; did you mean {close[0]!r}?")
    return name


def _readout(name: str, config: transformers.PretrainedConfig) -> str:
    architecture = (getattr(config, "architectures", None) or ["none named"])[0]
    for readout in READOUTS:
        if architecture in _ARCHITECTURES[readout]:
            return readout
    raise LabError(
        f"model {name!r} ({architecture}) has none of the four readouts; use a masked, causal or "
        "sequence-to-sequence language model, or a plain text encoder"
    )


def _max_length(
    config: transformers.PretrainedConfig, tokenizer: transformers.PreTrainedTokenizerBase
) -> int:
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        limit -= config.pad_token_id + 1  # RoBERTa counts positions from the padding id on
    # tokenizers without a limit carry a huge number; T5's relative positions have no hard limit
    known = [n for n in (limit, tokenizer.model_max_length) if n is not None and n < 10**9]
    return min(known) if known else 512


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
