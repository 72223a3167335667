"""Later cells run before every exercise is solved: the library stands in, and says so.

Usage, in a cell that uses what an exercise asked for::

    read = solved("clean")  # the reader's function once check_clean has passed it
    sentences = read(raw)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from labkit.core import statistics
from labkit.core.errors import LabError
from labkit.core.tasks import Example, without_overlap
from labkit.core.templates import Mask, Template, Words
from labkit.core.tuning import epoch_batches
from labkit.course.exercises import plans
from labkit.course.exercises.answers import passed
from labkit.course.exercises.kinds import returning_like
from labkit.course.exercises.lab_a_soft_prompt import (
    PromptInFront,
    collate,
    label_scores,
    learning_rate,
    predict,
    save_prompt,
    train,
)
from labkit.course.language import in_language
from labkit.position_enhancement import sinusoids
from labkit.prompt_transfer import cosine_of_means, weighted_average
from labkit.soft_prompt.vocabulary import generator


def solved(name: str) -> Callable:
    """The answer that passed ``check_NAME`` in this session, else the library's version of it.

    The answer's results come in the type of the library's, a class as it is.

    Raises:
        LabError: if the library has no version of that name.
    """
    if name in passed:
        model = STAND_INS.get(name)
        plain = model is None or isinstance(model, type)
        return passed[name] if plain else returning_like(passed[name], model)
    if name not in STAND_INS:
        raise LabError(
            in_language(f"{name} is not solved yet, and nothing stands in for it; solve it first")
        )
    print(in_language(f"{name}: its check has not passed yet, so the library's version stands in"))
    return STAND_INS[name]


def _clean(raw: bytes) -> list[str]:
    lines = (" ".join(line.split()) for line in raw.decode("latin-1").split("\n"))
    return list(dict.fromkeys(line for line in lines if line))


def _fill(template: str, text: str) -> str:
    parsed, words = Template(template), []
    for part in parsed.parts:
        if isinstance(part, Mask):
            break
        words.append(part.text if isinstance(part, Words) else text)
    filled = "".join(words)
    return filled[:-1] if parsed.mask_follows_space else filled


def _label_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    cut = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    if any(len(pieces) > 1 for pieces in cut):
        raise ValueError(f"one of {words} is several pieces")
    return [piece for (piece,) in cut]


def _score_batch(logits: Tensor, mask: Tensor, labels: list[int]) -> Tensor:
    places = torch.arange(mask.shape[1]) * mask  # (B, T), largest at the last piece of text
    rows = logits.take_along_dim(places.argmax(1)[:, None, None], dim=1).squeeze(1)  # (B, V)
    return rows[:, labels] - rows.logsumexp(-1, keepdim=True)  # (B, C)


def _prepend(prompt: Tensor, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    front = prompt.unsqueeze(0).repeat(len(embedded), 1, 1)  # (B, P, D)
    return torch.cat((front, embedded), dim=1), F.pad(mask, (len(prompt), 0), value=1)


def _sample_init(table: Tensor, length: int, common: int, seed: int) -> Tensor:
    return table[torch.randperm(common, generator=generator(seed))[:length]].clone()


def _training_step(
    prompt: nn.Parameter, model: nn.Module, texts: Tensor, targets: Tensor, lr: float
) -> float:
    inputs, _ = _prepend(prompt, texts, targets[:, None])
    loss = F.cross_entropy(model(inputs), targets)
    (gradient,) = torch.autograd.grad(loss, prompt)
    with torch.no_grad():
        prompt.sub_(lr * gradient)
    return loss.item()


def _keep_nearest(rows: Tensor, ids: Tensor, table: Tensor) -> Tensor:
    words, entries = table[ids], F.normalize(table, dim=-1)
    kept = rows.clone()
    while (left := (F.normalize(kept, dim=-1) @ entries.T).argmax(1) != ids).any():
        kept[left] = (kept[left] + words[left]) / 2
    return kept


def _leak(logits: Tensor, new: list[int]) -> Tensor:
    closed = logits.index_fill(1, torch.tensor(new), -torch.inf)
    return logits.logsumexp(1) - closed.logsumexp(1)


def _template_spread(right: np.ndarray) -> tuple[float, float]:
    accuracies = right.mean(axis=1)
    return float(accuracies.std(ddof=1)), float(np.ptp(accuracies))


def _content_share(content: Tensor, added: Tensor) -> float:
    return (content.var() / (content + added).var()).item()


def _relative_scores(queries: Tensor, table: Tensor) -> Tensor:
    count = len(queries)
    ahead = torch.arange(count) + count - 1  # rows of the distances 0 … P − 1
    rows = torch.stack([ahead - place for place in range(count)])  # (P, P)
    return torch.einsum("id,ijd->ij", queries, table[rows])


def _head(queries: Tensor, keys: Tensor, values: Tensor, relative: Tensor) -> Tensor:
    # scaled_dot_product_attention adds its mask to the scores, as equation 6 adds the relative ones
    return F.scaled_dot_product_attention(queries, keys, values, relative, scale=1.0)


def _possible(printed: float, n: int) -> bool:
    k = round(printed * n / 100)  # the count that comes nearest
    return 0 <= k <= n and abs(100 * k / n - printed) <= 0.05 + 1e-9


def _same_kind_gain(
    values: np.ndarray, level: np.ndarray, same_kind: np.ndarray, fair: np.ndarray
) -> float:
    gains = []
    for target, sources in enumerate((fair & same_kind).T):
        if sources.any():
            gains.append(values[sources, target].mean() - level[target])
    return float(np.mean(gains))


def _average_start(prompts: list[Tensor], similarities: list[float], k: int) -> Tensor:
    best = sorted(range(len(prompts)), key=lambda i: -similarities[i])[:k]
    return weighted_average([prompts[i] for i in best], [similarities[i] for i in best])


def _few_shot_gain(better: np.ndarray, worse: np.ndarray) -> tuple[float, float, float]:
    difference = better.astype(float) - worse
    errors = [stats.sem(difference.mean(axis)) for axis in (1, 0)]  # of draws, of sentences
    half = statistics.Z * np.hypot(*errors)
    return difference.mean(), difference.mean() - half, difference.mean() + half


def _without_test(
    text: dict[str, list[tuple[int, str]]], test: list[str]
) -> dict[str, list[tuple[int, str]]]:
    rows = [(name, row) for name, document in text.items() for row in document]
    read = [Example(str(i), {"text": row[1]}, 0) for i, (_, row) in enumerate(rows)]
    kept: dict[str, list[tuple[int, str]]] = {}
    for example in without_overlap(read, [Example("", {"text": sentence}, 0) for sentence in test]):
        name, row = rows[int(example.id)]
        kept.setdefault(name, []).append(row)
    return kept


def _surest(scores: Tensor, k: int) -> list[tuple[int, int]]:
    sure, labels = scores.softmax(-1).max(-1)
    pairs = []
    for row in sure.argsort(descending=True).tolist():  # the surest first
        label = int(labels[row])
        if sum(label == other for _, other in pairs) < k:
            pairs.append((row, label))
    return pairs


def _share_kept(
    values: np.ndarray, own: np.ndarray, controls: np.ndarray, fair: np.ndarray
) -> float:
    level = controls.max(0)
    foreign, gained = 0.0, 0.0
    for target in np.flatnonzero((own > level) & fair.any(0)):
        foreign += values[fair[:, target], target].mean() - level[target]
        gained += own[target] - level[target]
    return foreign / gained


def _retrieved_gain(values: np.ndarray, alike: np.ndarray, fair: np.ndarray) -> float:
    best = np.where(fair, alike, -np.inf).argmax(0)  # (T,)
    gains = [
        values[best[target], target] - values[rows, target].mean()
        for target, rows in enumerate(fair.T)
        if rows.sum() > 1
    ]
    return float(np.mean(gains))


def _next_pairs(
    whole: Mapping[str, Sequence[tuple[int, str]]], seed: int = 0
) -> list[tuple[str, str, str]]:
    """The smallest form of pre-training on pairs: every pair of neighbours as ``next``, and its
    first sentence with one of another document as ``other``.

    Args:
        whole: document → (place, sentence) in order; places may leave gaps.
    """
    random = np.random.default_rng(seed)
    triples = []
    for name, rows in whole.items():
        elsewhere = [text for other, rest in whole.items() if other != name for _, text in rest]
        for (place, first), (after, second) in itertools.pairwise(rows):
            if after == place + 1:
                wrong = elsewhere[random.integers(len(elsewhere))]
                triples += [(first, second, "next"), (first, wrong, "other")]
    return triples


def _gate_cost(
    validation: list[tuple[int, int]], test: list[tuple[int, int]], majority: list[float]
) -> tuple[int, int]:
    past, beats = (
        [statistics.accuracy_interval(counts).low > level
         for counts, level in zip(part, majority, strict=True)]
        for part in (validation, test)
    )  # fmt: skip
    return sum(past), sum(b and not p for p, b in zip(past, beats, strict=True))


def _paired_gain(changed: dict[int, float], plain: dict[int, float]) -> tuple[float, float, float]:
    gains = [changed[seed] - plain[seed] for seed in changed.keys() & plain.keys()]
    if len(gains) < 2:
        raise ValueError(f"{len(gains)} shared seeds, an interval takes two")
    return tuple(statistics.mean_with_interval(gains))


def _discoveries(p_values: np.ndarray, rate: float) -> np.ndarray:
    return statistics.false_discovery(p_values) <= rate


def _order_plan() -> dict:
    return dict(plans.EXAMPLE)


def _plan_lock() -> str:
    return plans.lock(plans.EXAMPLE)


STAND_INS: dict[str, Callable] = {
    "clean": _clean,
    "fill": _fill,
    "label_ids": _label_ids,
    "score_batch": _score_batch,
    "prepend": _prepend,
    "sample_init": _sample_init,
    "training_step": _training_step,
    "keep_nearest": _keep_nearest,
    "leak": _leak,
    "template_spread": _template_spread,
    "mcnemar": statistics.mcnemar_exact,
    "discoveries": _discoveries,
    "sinusoids": sinusoids,
    "relative_scores": _relative_scores,
    "head": _head,
    "content_share": _content_share,
    "gate_cost": _gate_cost,
    "paired_gain": _paired_gain,
    "possible": _possible,
    "same_kind_gain": _same_kind_gain,
    "share_kept": _share_kept,
    "task_similarity": cosine_of_means,
    "retrieved_gain": _retrieved_gain,
    "average_start": _average_start,
    "few_shot_gain": _few_shot_gain,
    "next_pairs": _next_pairs,
    "soft_prompt": PromptInFront,
    "batches": epoch_batches,
    "collate": collate,
    "label_scores": label_scores,
    "learning_rate": learning_rate,
    "train": train,
    "predict": predict,
    "save_prompt": save_prompt,
    "without_test": _without_test,
    "surest": _surest,
    "verdict": plans.verdict,
    "order_plan": _order_plan,
    "plan_lock": _plan_lock,
}
"""``NAME`` of ``check_NAME`` → what the library puts in the answer's place."""
