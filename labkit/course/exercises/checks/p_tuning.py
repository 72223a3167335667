"""Checks of notebook 03_p_tuning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Adapted, Draw, arrives, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance
from labkit.course.exercises.show import shown

# ---- 3.1 ----


def _spread(right: np.ndarray) -> tuple[float, float]:
    shares = [sum(map(int, row)) / len(row) for row in right]
    middle = sum(shares) / len(shares)
    squares = sum((share - middle) ** 2 for share in shares)
    return math.sqrt(squares / (len(shares) - 1)), max(shares) - min(shares)


@exercise
def check_template_spread(spread: Guarded, draw: Draw) -> str:
    """``spread``: right or wrong (M, N) → standard deviation and range of the M accuracies."""
    first = [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1, 1, 0]]
    tables = [np.array(first, dtype=bool)]
    for rows, columns in ((2, 5), (6, 3), (4, 30), (7, 1), (3, 3), (40, 9)):
        tables.append(np.array(draw.uniform(rows, columns) < 0.6))
    shares = torch.tensor([0.2, 0.4, 0.6, 0.9])[:, None]
    tables.append(np.array(draw.uniform(4, 600) < shares))
    tables.append(np.array(draw.uniform(5, 7) < 0.5, dtype=np.int64))
    tables += [np.ones((4, 3), dtype=bool), np.array([[1, 1], [0, 0], [0, 1]], dtype=np.uint8)]

    def deviation(change: Callable[[np.ndarray], float]) -> Callable[..., Any]:
        return lambda t: (float(change(t.astype(float))), _spread(t)[1])

    def width(change: Callable[[np.ndarray], float]) -> Callable[..., Any]:
        return lambda t: (_spread(t)[0], float(change(t.astype(float).mean(1))))

    compare(
        spread,
        [(table,) for table in tables],
        _spread,
        tolerance=Tolerance(1e-5, 1e-6),
        mistakes={
            "this is the spread over sentences: average over each row first, so that every "
            "template has one accuracy": lambda t: _spread(t.T),
            "this is the deviation over sentences, divided by their number: average over each row "
            "first": lambda t: (float(t.mean(0).std()), float(np.ptp(t.mean(0)))),
            "divided by M: these templates are a sample of all that could be written; divide by "
            "M − 1": deviation(lambda t: t.mean(1).std()),
            "this is the deviation of single answers: take that of the accuracies, one a "
            "template": deviation(lambda t: t.std()),
            "this is the deviation of single answers (by M·N − 1): take that of the accuracies, "
            "one a template": deviation(lambda t: t.std(ddof=1)),
            "this is the variance: the deviation is its square root": (
                deviation(lambda t: t.mean(1).var(ddof=1))
            ),
            "this is the variance (divided by M): the deviation is its square root": (
                deviation(lambda t: t.mean(1).var())
            ),
            "this is the standard error: the deviation is not divided by the root of M": (
                deviation(lambda t: t.mean(1).std(ddof=1) / len(t) ** 0.5)
            ),
            "this is the mean absolute deviation: square, average, take the root": (
                deviation(lambda t: np.abs(t.mean(1) - t.mean()).mean())
            ),
            "the deviation is that of numbers of right answers: divide by the sentences": (
                deviation(lambda t: t.sum(1).std(ddof=1))
            ),
            "deviation and range are those of numbers of right answers: divide by the sentences": (
                lambda t: (float(t.sum(1).std(ddof=1)), float(np.ptp(t.sum(1).astype(float))))
            ),
            "the range is the best accuracy minus the worst, not minus the mean": (
                width(lambda a: a.max() - a.mean())
            ),
            "the range is the best accuracy minus the worst; this is the best": (
                width(lambda a: a.max())
            ),
            "the range is the best accuracy minus the worst; this is the first minus the last": (
                width(lambda a: a[0] - a[-1])
            ),
            "the range has the wrong sign: the best accuracy minus the worst": (
                width(lambda a: a.min() - a.max())
            ),
            "the range is over single answers: the best accuracy minus the worst": (
                lambda t: (_spread(t)[0], float(t.max()) - float(t.min()))
            ),
            "range and deviation are exchanged: the deviation comes first": (
                lambda t: _spread(t)[::-1]
            ),
            "these are per cent: give shares": lambda t: tuple(100 * x for x in _spread(t)),
        },
        where="One accuracy for each row; their standard deviation with M − 1, and the best minus "
        "the worst",
    )
    return "spread over templates: one accuracy each, deviation by M − 1, best minus worst"


# ---- 3.2 ----


def _laid(
    parts: list, table: Tensor, prompt: Tensor, more: bool = True, fewer: bool = True
) -> Tensor:
    rows, left = [], list(range(len(prompt)))
    for part in parts:
        if isinstance(part, list):
            rows += [table[i] for i in part]
            continue
        if part > len(left) and more:
            raise ValueError
        rows += [prompt[i] for i in left[:part]]
        left = left[part:]
    if left and fewer:
        raise ValueError
    return torch.stack(rows)


def _slots(parts: list) -> int:
    return sum(part for part in parts if isinstance(part, int))


def _counted(lay: Callable[[list, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The same with the error where the numbers differ."""

    def laid(parts: list, table: Tensor, prompt: Tensor) -> Tensor:
        if _slots(parts) != len(prompt):
            raise ValueError
        return lay(parts, table, prompt)

    return laid


@exercise
def check_lay_between(lay: Guarded, draw: Draw) -> str:
    """``lay``: parts (ids of words, or a number of virtual tokens), table (V, D), prompt (P, D)."""
    layouts = [
        ([2, [7, 3, 1], 3, [8]], 5), ([[4, 4], 5, [0]], 5), ([[6], 1, [2], 1, 1], 3),
        ([3, 2, [1, 0, 2]], 5), ([4], 4), ([1, [5]], 1), ([[2, 8], [3], 2, [0], 2], 4),
        ([2, [7], 2], 5), ([4, [7], 2], 5), ([[1, 2]], 2), ([6], 5), ([[3], 1], 2),
    ]  # fmt: skip
    cases = [(parts, draw.normal(9, 4), draw.normal(rows, 4)) for parts, rows in layouts]
    cases.append(([1, [299, 256, 3], 1], draw.normal(300, 3), draw.normal(2, 3)))
    ids = [draw.whole(0, 8) for _ in range(4)]
    cases.append(([ids[:1], 2, ids[1:], 3], draw.normal(9, 2), draw.normal(5, 2)))

    def words_of(parts: list) -> list[int]:
        return [i for part in parts if isinstance(part, list) for i in part]

    def again(parts, table, prompt):
        return torch.cat([prompt[:p] if isinstance(p, int) else table[p] for p in parts])

    def from_the_end(parts, table, prompt):
        return _laid(parts, table, prompt.flip(0))

    def blocks_from_the_end(parts, table, prompt):
        rows, left = [], prompt
        for p in parts:
            rows.append(left[len(left) - p :] if isinstance(p, int) else table[p])
            left = left[: len(left) - p] if isinstance(p, int) else left
        return torch.cat(rows)

    def one_each(parts, table, prompt):
        rows, used = [], 0
        for p in parts:
            rows.append(prompt[used : used + 1] if isinstance(p, int) else table[p])
            used += isinstance(p, int)
        return torch.cat(rows)

    def first_row(parts, table, prompt):
        return torch.cat([prompt[:1].expand(p, -1) if isinstance(p, int) else table[p]
                          for p in parts])  # fmt: skip

    both = {
        "all virtual tokens stand in front: keep the order of the parts, as the template has it": (
            lambda s, t, p: torch.cat([p, t[words_of(s)]])
        ),
        "all virtual tokens stand behind the words: keep the order of the parts": (
            lambda s, t, p: torch.cat([t[words_of(s)], p])
        ),
        "the second slot begins again at row 0: a slot goes on where the last one stopped": again,
        "the prompt runs backwards: the first slot takes the first rows": from_the_end,
        "for each slot the rows are taken from the end: the first slot takes the first rows": (
            blocks_from_the_end
        ),
        "each slot takes one row: its number says how many": one_each,
        "the same row fills a slot: each virtual token is used once": first_row,
        "the parts stand in reverse order": lambda s, t, p: _laid(s[::-1], t, p),
        "the words of a stretch run backwards": (
            lambda s, t, p: _laid([x if isinstance(x, int) else x[::-1] for x in s], t, p)
        ),
        "only the first word of each stretch is there": (
            lambda s, t, p: _laid([x if isinstance(x, int) else x[:1] for x in s], t, p)
        ),
    }
    quiet = (
        "slots for more or fewer virtual tokens than the prompt has, and no ValueError: rows "
        "would be lost, or slots stay short, without a word"
    )
    mistakes = {
        quiet: lambda s, t, p: _laid(s, t, p, more=False, fewer=False),
        "rows of the prompt are left over, and no ValueError: they would be lost without a word": (
            lambda s, t, p: _laid(s, t, p, fewer=False)
        ),
        "the slots ask for more rows than the prompt has, and no ValueError: they would stay "
        "short without a word": lambda s, t, p: _laid(s, t, p, more=_slots(s) < len(p)),
        **{hint: _counted(make) for hint, make in both.items()},
        **{f"{hint}; and a ValueError is missing": make for hint, make in both.items()},
    }
    compare(
        lay,
        cases,
        _laid,
        mistakes=mistakes,
        unraised=quiet,
        where="One row per word piece and per virtual token, in the order of the parts; each "
        "virtual token once, in the prompt's order",
    )
    for args in (cases[0], cases[2]):
        arrives(lay, args, 2, _laid, draw)
    return "laid between the words: every row once, in order, gradient intact"


# ---- 3.3 ----


def _through(embedding: Tensor, lstm: nn.LSTM, mlp: nn.Module) -> Tensor:
    return mlp(lstm(embedding[:, None])[0][:, 0])


def _network(draw: Draw, number: int, width: int, layers: int, out: int) -> tuple[nn.LSTM, Any]:
    torch.manual_seed(100 * draw.number + number)
    lstm = nn.LSTM(width, width // 2, num_layers=layers, bidirectional=True)
    for weights in lstm.parameters():
        weights.data.mul_(2.0)  # so that neighbours matter
    return lstm, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


@exercise
def check_encode(encode: Guarded, draw: Draw) -> str:
    """``encode``: embedding (P, W), bidirectional LSTM, MLP → virtual tokens (P, D)."""
    shapes = [(5, 6, 2, 8), (4, 4, 1, 3), (1, 4, 1, 4), (2, 2, 1, 2), (6, 6, 3, 6), (3, 4, 1, 5)]
    cases = [
        (draw.normal(count, width), *_network(draw, number, width, layers, out))
        for number, (count, width, layers, out) in enumerate(shapes)
    ]

    def half(e, lstm, keep):
        hidden = lstm(e)[0].clone()
        size = lstm.hidden_size
        hidden[:, size:] = 0 if keep == "forward" else hidden[:, size:]
        hidden[:, :size] = 0 if keep == "backward" else hidden[:, :size]
        return hidden

    def last(lstm, e):
        _, (hidden, _) = lstm(e)
        return torch.cat([hidden[-2], hidden[-1]])

    def exchanged(e, lstm):
        hidden = lstm(e)[0]
        return torch.cat([hidden[:, lstm.hidden_size :], hidden[:, : lstm.hidden_size]], 1)

    compare(
        encode,
        cases,
        _through,
        mistakes={
            "no row knows of the others: the P rows are one sequence, not a batch of P sequences "
            "of length 1 (nn.LSTM takes (P, W), or (P, 1, W), as one sequence)": (
                lambda e, lstm, mlp: mlp(lstm(e[None])[0][0])
            ),
            "there is no batch, take its axis out: the result has three axes": (
                lambda e, lstm, mlp: mlp(lstm(e[:, None])[0])
            ),
            "there is no batch, take its axis out: the result has three axes, and no row knows of "
            "the others, since the second axis is the batch": (
                lambda e, lstm, mlp: mlp(lstm(e[None])[0])
            ),
            "the result is as wide as the LSTM: the MLP brings it to width D": (
                lambda e, lstm, mlp: lstm(e)[0]
            ),
            "the LSTM is left out: the embedding goes through it first": (
                lambda e, lstm, mlp: mlp(e)
            ),
            "one row for the whole prompt: take the LSTM's output at each place, not its last "
            "state": lambda e, lstm, mlp: mlp(last(lstm, e)[None]),
            "one row for the whole prompt, without an axis for the places: take the LSTM's output "
            "at each place": lambda e, lstm, mlp: mlp(last(lstm, e)),
            "the LSTM's last output alone is used: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0][-1])
            ),
            "every row is the LSTM's last output: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0][-1:]).expand(len(e), -1)
            ),
            "the LSTM's outputs are averaged: take its output at each place": (
                lambda e, lstm, mlp: mlp(lstm(e)[0].mean(0, keepdim=True)).expand(len(e), -1)
            ),
            "the direction from the back is set to zero: both count": (
                lambda e, lstm, mlp: mlp(half(e, lstm, "forward"))
            ),
            "the direction from the front is set to zero: both count": (
                lambda e, lstm, mlp: mlp(half(e, lstm, "backward"))
            ),
            "the two directions are exchanged: the LSTM's output has them in order": (
                lambda e, lstm, mlp: mlp(exchanged(e, lstm))
            ),
            "the embedding is added to the LSTM's output: the equation does not": (
                lambda e, lstm, mlp: mlp(lstm(e)[0] + e)
            ),
            "the rows run backwards": lambda e, lstm, mlp: _through(e, lstm, mlp).flip(0),
            "the embedding goes in backwards": lambda e, lstm, mlp: _through(e.flip(0), lstm, mlp),
            "the embedding goes in backwards, and the result is turned round: one sequence, from "
            "the front": lambda e, lstm, mlp: _through(e.flip(0), lstm, mlp).flip(0),
            "each row went through the LSTM by itself: the P rows are one sequence": (
                lambda e, lstm, mlp: mlp(torch.cat([lstm(row[None])[0] for row in e]))
            ),
        },
        where="The LSTM's output at each place, both directions, then the MLP: (P, D)",
    )
    for args in cases[:2]:

        def in_double(e: Tensor, *_: Any, args: tuple = args) -> Tensor:
            return _through(e, *(_as_double(part) for part in args[1:]))

        arrives(encode, args, 0, in_double, draw)
    return "encoded: P rows in one sequence, both directions, width D"


def _as_double(module: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(module).double()


# ---- 3.4 ----

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
