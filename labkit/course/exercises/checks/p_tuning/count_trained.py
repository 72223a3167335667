"""Exercise 3.4: the check of ``count_trained``."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Adapted, Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.show import shown

_METHODS = ("prompt tuning", "prefix tuning", "LoRA", "adapters")


def _by_formula(layers, width, keys, length, rank, bottleneck) -> dict[str, int]:
    adapter = nn.Sequential(nn.Linear(width, bottleneck), nn.Linear(bottleneck, width))
    one = sum(p.numel() for p in adapter.parameters())
    return {
        "prompt tuning": torch.empty(length, width).numel(),
        "prefix tuning": sum(2 * length * keys for _ in range(layers)),
        "LoRA": sum(rank * (width + width) + rank * (width + keys) for _ in range(layers)),
        "adapters": sum(one + one for _ in range(layers)),
    }


def _by_peft() -> dict[str, int]:
    """PEFT's own modules for 3 layers, width 24, keys 8, length 5, rank 4."""
    import peft
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=24, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, intermediate_size=40,
    )  # fmt: skip
    settings = {
        "prompt tuning": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "prefix tuning": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "LoRA": peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]),
    }
    counts = {}
    for method, setting in settings.items():
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.get_peft_model(transformers.LlamaForCausalLM(config), setting)
        counts[method] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return counts


_MISCOUNTS: dict[str, dict[str, Callable[..., int]]] = {
    "prompt tuning": {
        "the virtual tokens stand at the input alone, not in every layer": (
            lambda n, d, k, p, r, m: n * p * d
        ),
        "one vector for each virtual token: length times width": lambda n, d, k, p, r, m: p,
        "a virtual token is as wide as the model, not as the keys": (
            lambda n, d, k, p, r, m: p * k
        ),
        "keys and values belong to prefix tuning: one vector for each token": (
            lambda n, d, k, p, r, m: 2 * p * d
        ),
    },
    "prefix tuning": {
        "keys and values: twice as many": lambda n, d, k, p, r, m: n * p * k,
        "a prefix is as wide as the keys, not as the model: heads that share keys and values make "
        "them narrower": lambda n, d, k, p, r, m: n * p * 2 * d,
        "a prefix is as wide as the keys, not as the model, and has keys and values": (
            lambda n, d, k, p, r, m: n * p * d
        ),
        "a prefix stands in every layer": lambda n, d, k, p, r, m: p * 2 * k,
        "a prefix stands in every layer, as wide as the keys": lambda n, d, k, p, r, m: p * 2 * d,
        "a key is as wide as the keys, and so is a value": (
            lambda n, d, k, p, r, m: n * p * (d + k)
        ),
    },
    "LoRA": {
        "the value matrix leads from width to keys: its second factor is (rank, keys)": (
            lambda n, d, k, p, r, m: n * r * 4 * d
        ),
        "each adapted matrix has two factors": lambda n, d, k, p, r, m: n * r * 2 * d,
        "each adapted matrix has two factors; here is one of each": (
            lambda n, d, k, p, r, m: n * r * (d + k)
        ),
        "every layer has its own": lambda n, d, k, p, r, m: r * (3 * d + k),
        "the query matrix is adapted too, beside the value matrix": (
            lambda n, d, k, p, r, m: n * r * (d + k)
        ),
        "the value matrix is adapted too, beside the query matrix": (
            lambda n, d, k, p, r, m: n * r * 2 * d
        ),
        "the query matrix leads from width to width, only the value matrix to keys": (
            lambda n, d, k, p, r, m: n * r * 2 * (d + k)
        ),
        "these are the matrices themselves: only their factors are trained": (
            lambda n, d, k, p, r, m: n * (d * d + d * k)
        ),
        "key, query and value are counted: query and value are adapted": (
            lambda n, d, k, p, r, m: n * r * (4 * d + 2 * k)
        ),
        "the rank counts once in each factor: (a, r) and (r, b) have r·(a + b) numbers": (
            lambda n, d, k, p, r, m: n * r * (d * d + d * k)
        ),
    },
    "adapters": {
        "two adapters in each layer, after attention and after the MLP": (
            lambda n, d, k, p, r, m: n * (2 * d * m + m + d)
        ),
        "two adapters in each layer, both matrices with biases": (
            lambda n, d, k, p, r, m: n * 2 * d * m
        ),
        "both matrices of an adapter have biases": lambda n, d, k, p, r, m: n * 2 * 2 * d * m,
        "both matrices of an adapter have biases; the one on the way up is missing": (
            lambda n, d, k, p, r, m: n * 2 * (2 * d * m + m)
        ),
        "both matrices of an adapter have biases; the one on the way down is missing": (
            lambda n, d, k, p, r, m: n * 2 * (2 * d * m + d)
        ),
        "both biases are as long as what comes out: m on the way down, D on the way up": (
            lambda n, d, k, p, r, m: n * 2 * (2 * d * m + 2 * d)
        ),
        "both biases are as long as what comes out: D on the way up, not m again": (
            lambda n, d, k, p, r, m: n * 2 * (2 * d * m + 2 * m)
        ),
        "every layer has its own": lambda n, d, k, p, r, m: 2 * (2 * d * m + m + d),
        "down and up again: an adapter has two matrices": (
            lambda n, d, k, p, r, m: n * 2 * (d * m + m + d)
        ),
        "an adapter is as wide as the model, not as the keys": (
            lambda n, d, k, p, r, m: n * 2 * (2 * k * m + m + k)
        ),
    },
}


@exercise
def check_count_trained(count: Guarded, draw: Draw) -> str:
    """``count``: layers, width, keys, length, rank, bottleneck → method → trained parameters."""
    first = (3, 24, 8, 5, 4, 7)
    peft = _by_peft()
    require(
        {method: _by_formula(*first)[method] for method in peft} == peft,
        "this version of PEFT counts in another way than the course; ask your instructor",
    )
    cases = [first, (2, 10, 4, 3, 2, 5), (1, 6, 6, 1, 1, 1)]
    cases += [tuple(draw.whole(2, 13) for _ in range(6)) for _ in range(5)]
    cases.append((30, 576, 192, 100, 8, 64))
    seen = count(*first)
    require(seen is not None, "nothing comes back (None): is the `return` missing?")
    require(
        isinstance(seen, dict) and set(seen) == set(_METHODS),
        f"return a dictionary with the keys {', '.join(_METHODS)}; got {shown(seen)}",
    )
    for method in _METHODS:
        compare(
            Adapted(count, lambda answer, *args, method=method: answer(*args)[method]),
            cases,
            lambda *args, method=method: _by_formula(*args)[method],
            mistakes={f"{method}: {hint}": wrong for hint, wrong in _MISCOUNTS[method].items()},
            where=f"This is {method}; count again with the shapes on paper",
        )
    return "parameters: equal to PEFT's modules, adapters with their biases"
