"""Checks of notebook 03_p_tuning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_template_spread(spread: Callable[[np.ndarray], tuple[float, float]]) -> None:
    """``spread``: right or wrong (M, N) → standard deviation and range of the M accuracies."""
    right = np.array(
        [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1, 1, 0]], dtype=bool
    )
    before = right.copy()
    found = spread(right)
    assert isinstance(found, tuple) and len(found) == 2, (
        f"return two numbers, the standard deviation and the range; got {found!r}"
    )
    assert np.array_equal(right, before), "the table was changed: work on what you compute from it"
    deviation, width = map(float, found)
    accuracies = right.mean(1)
    by_hand = math.sqrt(sum((a - accuracies.mean()) ** 2 for a in accuracies) / 2)
    if math.isclose(width, np.ptp(right.mean(0))):
        raise AssertionError(
            "this is the spread over sentences: average over each row first, so that every "
            "template has one accuracy"
        )
    if math.isclose(deviation, right.std()) or math.isclose(deviation, right.std(ddof=1)):
        raise AssertionError(
            "this is the deviation of single answers: take that of the accuracies, one a template"
        )
    if math.isclose(deviation, accuracies.var(ddof=1)) or math.isclose(deviation, accuracies.var()):
        raise AssertionError("this is the variance: the deviation is its square root")
    assert not math.isclose(deviation, accuracies.std()), (
        "divided by M: these templates are a sample of all that could be written; divide by M − 1"
    )
    assert math.isclose(width, accuracies.max() - accuracies.min()), (
        f"range {width:.3f}, expected {np.ptp(accuracies):.3f}: the best accuracy minus the worst"
    )
    assert math.isclose(deviation, by_hand), f"deviation {deviation:.4f}, expected {by_hand:.4f}"
    passed("spread over templates: one accuracy each, deviation by M − 1, best minus worst")


@exercise
def check_lay_between(lay: Callable[[list, Tensor, Tensor], Tensor]) -> None:
    """``lay``: parts (ids of words, or a number of virtual tokens), table (V, D), prompt (P, D)."""
    random = torch.Generator().manual_seed(0)
    table = torch.randn(9, 4, generator=random)
    prompt = torch.randn(5, 4, generator=random, requires_grad=True)
    laid = lay([2, [7, 3, 1], 3, [8]], table, prompt)
    assert_shape("the sequence", laid, (9, 4), "One row per word piece and per virtual token.")
    expected = torch.cat([prompt[:2], table[[7, 3, 1]], prompt[2:], table[[8]]])
    if torch.equal(laid, torch.cat([prompt, table[[7, 3, 1, 8]]])):
        raise AssertionError(
            "all virtual tokens stand in front: keep the order of the parts, as the template has it"
        )
    if torch.equal(laid, torch.cat([prompt[:2], table[[7, 3, 1]], prompt[:3], table[[8]]])):
        raise AssertionError(
            "the second slot begins again at row 0: a slot goes on where the last one stopped"
        )
    if torch.equal(laid, torch.cat([prompt[-2:], table[[7, 3, 1]], prompt[:3], table[[8]]])):
        raise AssertionError("the rows are taken from the end: the first slot takes the first rows")
    assert torch.equal(laid, expected), "some rows stand in another place than the template says"
    assert laid.requires_grad, "no gradient reaches the prompt: don't detach or copy its numbers"
    (gradient,) = torch.autograd.grad(laid.sum(), prompt)
    assert torch.equal(gradient, torch.ones(5, 4)), "each virtual token should be used once"
    words = lay([[4, 4], 5, [0]], table, prompt)
    assert torch.equal(words, torch.cat([table[[4, 4]], prompt, table[[0]]])), (
        "wrong for a template that begins with words"
    )
    for parts in ([2, [7], 2], [4, [7], 2]):
        try:
            lay(parts, table, prompt)
        except ValueError:
            continue
        raise AssertionError(
            f"slots for {sum(p for p in parts if isinstance(p, int))} virtual tokens, a prompt of "
            "5, and no ValueError: rows would be lost, or slots stay short, without a word"
        )
    passed("laid between the words: every row once, in order, gradient intact")


@exercise
def check_encode(encode: Callable[[Tensor, nn.LSTM, nn.Module], Tensor]) -> None:
    """``encode``: embedding (P, W), bidirectional LSTM, MLP → virtual tokens (P, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lstm = nn.LSTM(6, 3, num_layers=2, bidirectional=True)
        mlp = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 8))
        embedding = torch.randn(5, 6, requires_grad=True)
    for weights in lstm.parameters():
        weights.data.mul_(2.0)  # so that neighbours matter
    written = encode(embedding, lstm, mlp)
    if isinstance(written, Tensor) and written.shape in ((5, 1, 8), (1, 5, 8)):
        raise AssertionError(
            f"the result has shape {tuple(written.shape)}: there is no batch, take its axis out"
        )
    if isinstance(written, Tensor) and written.shape == (5, 6):
        raise AssertionError("the result is as wide as the LSTM: the MLP brings it to width D")
    if isinstance(written, Tensor) and written.shape in ((1, 8), (8,)):
        raise AssertionError(
            "one row for the whole prompt: take the LSTM's output at each place, not its last state"
        )
    assert_shape("the result", written, (5, 8), "One virtual token per row of the embedding.")
    (reach,) = torch.autograd.grad(written[2].sum(), embedding, allow_unused=True)
    assert reach is not None, "no gradient reaches the embedding: don't detach it"
    if torch.allclose(written, mlp(embedding)):
        raise AssertionError("the LSTM is left out: the embedding goes through it first")
    if not reach[[0, 1, 3, 4]].any():
        raise AssertionError(
            "no row knows of the others: the P rows are one sequence, not a batch of P sequences "
            "of length 1 (nn.LSTM takes (P, W), or (P, 1, W), as one sequence)"
        )
    expected = mlp(lstm(embedding[:, None])[0][:, 0])
    assert torch.allclose(written, expected, atol=1e-6), (
        "wrong numbers: the LSTM's output at each place, both directions, then the MLP"
    )
    passed("encoded: P rows in one sequence, both directions, width D")


@exercise
def check_count_trained(count: Callable[..., dict[str, int]]) -> None:
    """``count``: layers, width, keys, length, rank, bottleneck → method → trained parameters."""
    import peft
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=24, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, intermediate_size=40,
    )  # fmt: skip
    by_peft = {
        "prompt tuning": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "prefix tuning": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "LoRA": peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]),
    }
    expected = {}
    for method, settings in by_peft.items():
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.get_peft_model(transformers.LlamaForCausalLM(config), settings)
        expected[method] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    adapter = nn.Sequential(nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 24))
    one = sum(p.numel() for p in adapter.parameters())
    expected["adapters"] = 2 * 3 * one
    found = count(layers=3, width=24, keys=8, length=5, rank=4, bottleneck=7)
    assert isinstance(found, dict) and set(found) == set(expected), (
        f"return a dictionary with {', '.join(expected)}; got {found!r}"
    )
    hints = {
        ("prefix tuning", 5 * 3 * 8): "keys and values: twice as many",
        ("prefix tuning", 5 * 3 * 2 * 24): "a prefix is as wide as the keys, not as the model: "
        "heads that share keys and values make them narrower",
        ("prefix tuning", 5 * 2 * 8): "a prefix stands in every layer",
        ("LoRA", 3 * 4 * 4 * 24): "the value matrix leads from width to keys: its second factor is "
        "(keys, rank)",
        ("LoRA", 3 * 2 * 4 * 24): "each adapted matrix has two factors",
        ("LoRA", 4 * (3 * 24 + 8)): "every layer has its own",
        ("adapters", 3 * one): "two adapters in each layer, after attention and after the MLP",
        ("adapters", 2 * 3 * 2 * 24 * 7): "both matrices of an adapter have biases",
    }
    for method, number in expected.items():
        hint = hints.get((method, found[method]), "count again with the shapes on paper")
        assert found[method] == number, f"{method}: {found[method]}, expected {number}: {hint}"
    passed("parameters: equal to PEFT's modules, adapters with their biases")
