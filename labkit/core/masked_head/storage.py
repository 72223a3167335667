"""The folder of a masked head: what it holds, how it is loaded and written.

A folder holds ``adapter_config.json`` and ``adapter_model.safetensors`` (LoRA in PEFT's format, its
base an encoder that labkit fetches), and ``head.safetensors``: BERT's masked-LM head, the vector of
the mask token, and a linear map between the head's space and that of the word embeddings, which
serve as the output's table. Loaded, it is Hugging Face's own ``BertForMaskedLM`` with everything
merged. ``config.json`` is that model's, so a folder is known for what it is before it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from labkit.core import assets
from labkit.core.bundled import bundled
from labkit.core.conversions import quiet_transformers
from labkit.core.errors import LabError, first_line
from labkit.core.files import folder_aside, write_text

HEAD = "head.safetensors"
ADAPTER = "adapter_model.safetensors"
CARD = "labkit.json"
FILES = (ADAPTER, "adapter_config.json", "config.json", HEAD, CARD)
"""All that a folder holds."""

BUNDLED = {"minilm-mlm": bundled("models", "minilm-mlm")}
"""Those that come with labkit, by name."""

_PREFIX = "base_model.model."  # how PEFT names a module of the model it wraps
_TARGETS = r"encoder\..*\.(query|key|value|dense)"


def holds_masked_head(folder: Path) -> bool:
    """Whether ``folder`` is one of this module's."""
    return (folder / HEAD).is_file() and (folder / "adapter_config.json").is_file()


def body_folder(folder: Path) -> Path:
    """Folder of the encoder that a masked head belongs to.

    Raises:
        LabError: if that is not an encoder of labkit's, or was not fetched.
    """
    return assets.locate(_settings(folder)["base_model_name_or_path"])


def load_masked_lm(folder: Path, dtype: torch.dtype) -> transformers.BertForMaskedLM:
    """The whole model: the encoder with its change merged in (computed in fp32), and the head.

    Raises:
        LabError: if a file is not what it should be, or the encoder was not fetched.
    """
    settings, base = _settings(folder), body_folder(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    body = load_body(base)
    model = transformers.BertForMaskedLM(transformers.AutoConfig.from_pretrained(folder))
    try:
        merge(body, load_file(folder / ADAPTER), settings["lora_alpha"] / settings["r"])
        head = {name: value.float() for name, value in load_file(folder / HEAD).items()}
        table = body.embeddings.word_embeddings.weight.data
        output = table @ head["output.weight"]  # (V, D): before [MASK] gets its vector
        table[tokenizer.mask_token_id] = head["mask_vector"]
        model.bert.load_state_dict(body.state_dict())
        model.cls.predictions.load_state_dict(
            {
                "bias": head["bias"],
                "decoder.bias": head["bias"],
                "decoder.weight": output,
                "transform.dense.weight": head["dense.weight"],
                "transform.dense.bias": head["dense.bias"],
                "transform.LayerNorm.weight": head["norm.weight"],
                "transform.LayerNorm.bias": head["norm.bias"],
            }
        )
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise LabError(
            f"{folder.name} is not a whole masked head ({first_line(error)}); make it again with "
            "`labkit assets make minilm-mlm`"
        ) from error
    return torch.nn.Module.to(model, dtype).eval()


def load_body(folder: Path) -> transformers.BertModel:
    """The encoder in fp32, without the pooler that no masked head reads."""
    with quiet_transformers():
        return transformers.BertModel.from_pretrained(
            folder, dtype=torch.float32, add_pooling_layer=False
        )


def merge(body: torch.nn.Module, adapter: Mapping[str, Tensor], scale: float) -> None:
    """W → W + scale × BA for every linear layer that ``adapter`` names, in place.

    Raises:
        KeyError: if one of a pair is missing.
    """
    for name in [key for key in adapter if key.endswith("lora_A.weight")]:
        module = name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        low, high = adapter[name].float(), adapter[name.replace("lora_A", "lora_B")].float()
        weight = body.get_parameter(f"{module}.weight")
        weight.data += scale * high @ low


def save_masked_head(
    folder: Path,
    base: str,
    changes: Mapping[str, tuple[Tensor, Tensor]],
    head: Mapping[str, Tensor],
    card: Mapping[str, object],
) -> None:
    """Write a folder that :func:`load_masked_lm` reads, in fp16.

    Args:
        base: name of the encoder; changes: module of the encoder → A (r, in) and B (out, r).
        head: tensors by the names in ``load_masked_lm``; card: how it was trained.
    """
    from peft import LoraConfig  # takes seconds to import

    rank = next(iter(changes.values()))[0].shape[0]
    adapter = {}
    for module, pair in changes.items():
        for side, matrix in zip("AB", pair, strict=True):
            adapter[f"{_PREFIX}{module}.lora_{side}.weight"] = matrix
    config = transformers.AutoConfig.from_pretrained(assets.locate(base))
    config.architectures = ["BertForMaskedLM"]
    config.tie_word_embeddings = False  # the map is folded into the output's table
    with folder_aside(folder) as aside:
        for file, tensors in ((ADAPTER, adapter), (HEAD, head)):
            stored = {name: t.detach().half().contiguous() for name, t in tensors.items()}
            save_file(stored, aside / file, metadata={"format": "pt"})
        LoraConfig(
            r=rank,
            lora_alpha=rank,
            target_modules=_TARGETS,
            lora_dropout=0.0,
            base_model_name_or_path=base,
            inference_mode=True,
        ).save_pretrained(str(aside))
        config.save_pretrained(aside)
        write_text(aside / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def _settings(folder: Path) -> dict:
    try:
        return json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"{folder.name}: adapter_config.json cannot be read ({error})") from error
