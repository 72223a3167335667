"""How many parameters each way of adapting a model trains, and how many it keeps for a task.

Lester et al. 2021 (section 5) compare the methods in words; here in numbers, for one backbone.
PEFT counts where it has the method: its own modules are built on the backbone's shapes without
weights. Where it has not, a formula does, and the tests hold every formula against modules.

With L layers, width D, width K of keys and of values (less than D where heads share them), P
virtual tokens, C classes:

=============== ==================================== ===========================================
prompt tuning   P · D                                Lester et al. 2021
WARP            (P + C) · D                          Hambardzumyan et al. 2021: class vectors too
soft words      P · D · (L + 1)                      Qin and Eisner 2021: a shift in every layer
prefix tuning   P · L · 2K                           Li and Liang 2021: keys and values
LoRA            L · r · (3D + K)                     Hu et al. 2022: queries and values, rank r
adapters        L · 2 · (2Dm + m + D)                Houlsby et al. 2019: two of bottleneck m
=============== ==================================== ===========================================
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import nn

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.p_tuning import WIDTH, PromptEncoder

RANK, BOTTLENECK = 8, 64


@dataclass(frozen=True)
class Shapes:
    """What the formulas need of a backbone: L, D, K and the number of all its parameters."""

    layers: int
    width: int
    keys: int
    total: int

    @classmethod
    def of(cls, backbone: Backbone) -> Shapes:
        config = backbone.model.config
        heads = config.num_attention_heads
        head = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            keys=head * (getattr(config, "num_key_value_heads", None) or heads),
            total=sum(p.numel() for p in backbone.model.parameters()),
        )


@dataclass(frozen=True)
class Count:
    """One method: ``trained`` parameters, ``kept`` for a task afterwards, ``by`` whom counted."""

    method: str
    trained: int
    kept: int
    by: str


def prompt_tuning(shapes: Shapes, length: int) -> int:
    """P · D."""
    return length * shapes.width


def warp(shapes: Shapes, length: int, classes: int) -> int:
    """(P + C) · D."""
    return (length + classes) * shapes.width


def soft_words(shapes: Shapes, length: int) -> int:
    """P · D · (L + 1), for one prompt of their mixture."""
    return length * shapes.width * (shapes.layers + 1)


def prefix_tuning(shapes: Shapes, length: int) -> int:
    """P · L · 2K, without the network that writes the prefix while training."""
    return length * shapes.layers * 2 * shapes.keys


def lora(shapes: Shapes, rank: int = RANK) -> int:
    """L · r · (3D + K): the query matrix is (D, D), that of the values (K, D)."""
    return shapes.layers * rank * (3 * shapes.width + shapes.keys)


def adapters(shapes: Shapes, bottleneck: int = BOTTLENECK) -> int:
    """L · 2 · (2Dm + m + D): down and up with their biases, after attention and after the MLP."""
    return shapes.layers * 2 * (2 * shapes.width * bottleneck + bottleneck + shapes.width)


def count_parameters(
    backbone: Backbone,
    length: int = 20,
    *,
    classes: int = 2,
    rank: int = RANK,
    bottleneck: int = BOTTLENECK,
) -> list[Count]:
    """Every method on one backbone, the fewest trained parameters first.

    Raises:
        LabError: for a backbone that PEFT's LoRA doesn't know the query and value matrices of.
    """
    shapes = Shapes.of(backbone)
    kept = prompt_tuning(shapes, length)
    encoder = PromptEncoder(torch.randn(length, shapes.width))
    counts = [
        Count("prompt tuning", _by_peft(backbone, "PromptTuning", length), kept, "PEFT"),
        Count("WARP", *[warp(shapes, length, classes)] * 2, "formula"),
        Count("soft words", *[soft_words(shapes, length)] * 2, "formula"),
        Count("P-Tuning", sum(p.numel() for p in encoder.parameters()), kept, "module"),
        Count("P-Tuning as in PEFT", _by_peft(backbone, "PromptEncoder", length), kept, "PEFT"),
        Count("prefix tuning", *[_by_peft(backbone, "PrefixTuning", length)] * 2, "PEFT"),
        Count("LoRA", *[_by_peft(backbone, "Lora", rank)] * 2, "PEFT"),
        Count("adapters", *[adapters(shapes, bottleneck)] * 2, "formula"),
        Count("fine-tuning", shapes.total, shapes.total, "module"),
    ]
    return sorted(counts, key=lambda count: count.trained)


def _by_peft(backbone: Backbone, method: str, size: int) -> int:
    """Trained parameters of PEFT's own modules, on the backbone's shapes without weights."""
    import peft

    task = "CAUSAL_LM" if backbone.readout == "causal" else "FEATURE_EXTRACTION"
    with torch.device("meta"):
        empty: nn.Module = type(backbone.model)(backbone.model.config)
    config = {
        "PromptTuning": lambda: peft.PromptTuningConfig(task_type=task, num_virtual_tokens=size),
        "PromptEncoder": lambda: peft.PromptEncoderConfig(
            task_type=task,
            num_virtual_tokens=size,
            encoder_hidden_size=WIDTH,
            encoder_reparameterization_type="LSTM",
        ),
        "PrefixTuning": lambda: peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=size),
        "Lora": lambda: peft.LoraConfig(task_type=task, r=size),
    }[method]()
    try:
        with warnings.catch_warnings():  # PEFT calls transformers by a name that is going away
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.get_peft_model(empty, config)
    except ValueError as error:
        raise LabError(
            f"PEFT does not know which matrices of {backbone.name} to adapt ({error}); use a "
            "backbone of a family that it knows"
        ) from error
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
