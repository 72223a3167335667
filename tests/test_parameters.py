"""Counted parameters: PEFT's modules, the formulas, and modules built here agree."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labkit.core.loading import load_backbone
from labkit.experiments import parameters
from labkit.experiments.parameters import Shapes, count_parameters
from labkit.p_tuning import PromptEncoder


def size(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A Llama whose heads share keys and values, as smollm2's do."""
    import transformers

    import tiny

    folder = tiny.build("llama", tmp_path_factory.mktemp("grouped"))
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_key_value_heads = 2
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return load_backbone(str(folder), device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("family", ["llama", "bert", "grouped"])
def test_formulas_and_pefts_modules_agree(tiny_backbone, grouped, family):
    backbone = grouped if family == "grouped" else tiny_backbone(family)
    shapes = Shapes.of(backbone)
    by_method = {c.method: c.trained for c in count_parameters(backbone, 5, rank=3)}
    assert by_method["prompt tuning"] == parameters.prompt_tuning(shapes, 5)
    assert by_method["prefix tuning"] == parameters.prefix_tuning(shapes, 5)
    assert by_method["LoRA"] == parameters.lora(shapes, 3)


def test_formulas_without_peft_against_modules(grouped):
    width, layers, length, classes, bottleneck = 32, 2, 5, 3, 7
    shapes = Shapes.of(grouped)
    half = [nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)]
    assert parameters.adapters(shapes, bottleneck) == 2 * layers * size(*half)
    answers = nn.Linear(width, classes, bias=False)
    assert parameters.warp(shapes, length, classes) == size(nn.Embedding(length, width), answers)
    shifts = [nn.Embedding(length, width) for _ in range(layers + 1)]  # input and every layer
    assert parameters.soft_words(shapes, length) == size(*shifts)


def test_the_encoder_counts_as_it_is_and_is_not_kept(tiny_backbone):
    counts = {c.method: c for c in count_parameters(tiny_backbone("llama"), 5)}
    assert counts["P-Tuning"].trained == size(PromptEncoder(torch.randn(5, 32)))
    assert counts["P-Tuning"].kept == counts["prompt tuning"].kept == 5 * 32
    assert counts["fine-tuning"].trained == size(tiny_backbone("llama").model)


def test_fewest_first_and_the_backbone_untouched(tiny_backbone):
    backbone = tiny_backbone("llama")
    before = [name for name, _ in backbone.model.named_parameters()]
    trained = [c.trained for c in count_parameters(backbone, 5)]
    assert trained == sorted(trained)
    assert [name for name, _ in backbone.model.named_parameters()] == before
    assert not any(p.requires_grad for p in backbone.model.parameters())
