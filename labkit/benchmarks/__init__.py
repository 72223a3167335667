"""Benchmarks against PEFT: the same model, texts and virtual tokens, measured in the same run.

PEFT is run in two ways. *As it comes*: fp32, batches in the order of the texts, the model's own
forward pass with logits at every position. *Tuned by hand*: bf16 where the machine has it, batches
of similar length, and on a GPU larger ones to score in. Before any ratio is printed, the
predictions are compared: in fp32 all of them have to agree, in bf16 at least 99 %, and only where
the fp32 margin is under 0.05.

The rounds of the contestants alternate, and the fastest of each is kept, because on a shared
machine noise only ever adds time.

Usage::

    labkit bench evaluate --length 20 --limit 128
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.attention import use_fused_kernel
from labkit.core.backbones import Backbone
from labkit.core.devices import synchronise
from labkit.core.errors import LabError
from labkit.core.loading import fast_dtype, load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.readouts import ENCODER_SCALE, mean_pooled
from labkit.core.sequences import Encoded, collate
from labkit.core.tasks import Example, load_task
from labkit.core.tuning import epoch_batches
from labkit.shuffle_probe import Shuffle, probe_order
from labkit.soft_prompt import SoftPrompt

BATCH_SIZE = 16
GPU_BATCH_SIZE = 128
"""Sentences that PEFT tuned by hand scores at once on a GPU, which waits for its launches: all
logits of such a batch fill a few GB."""

BF16_MARGIN = 0.05
OnProgress = Callable[[int, int, str], None]


def bench_evaluate(
    backbone: str = "smollm2",
    length: int = 20,
    limit: int = 128,
    rounds: int = 3,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict:
    """Score ``limit`` test sentences of rt-polarity with a prompt of ``length`` tokens.

    Returns:
        Seconds of each contestant, ratios, agreement, and the fraction of the machine's measured
        matrix-product rate that the useful arithmetic of labkit reaches.
    """
    examples = load_task("rt-polarity").take("test", limit, seed=0)
    arena = _Arena(backbone, length, examples, device)
    with torch.inference_mode():
        exact = arena.ours_fp32.scores()
        reference = arena.peft_fp32.scores()
        fast = arena.ours.scores()
        agreement = {"fp32": _agreement(exact, reference), "fast": _agreement(fast, reference)}
        _check_agreement(exact, fast, reference)
        seconds, rate = arena.rated_race(lambda side: side.scores(), rounds, on_progress)
    useful = _useful_flops(arena.ours) / seconds["labkit_s"]
    return {
        **arena.about(),
        "sentences": limit,
        **_ratios(seconds),
        "gemm_fraction": useful / rate,
        "gemm_rate_gflops": rate / 1e9,
        "agreement": agreement,
    }


def bench_tune(
    backbone: str = "smollm2",
    length: int = 20,
    steps: int = 8,
    rounds: int = 2,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict:
    """Train a prompt of ``length`` tokens for ``steps`` steps of 16 sentences.

    All contestants see the same sentences; only PEFT tuned by hand has them in batches of similar
    length. The loss is each library's own: PEFT's users train on the label word with the full
    vocabulary's cross entropy, labkit on the label scores.
    """
    examples = load_task("rt-polarity").take("train", steps * BATCH_SIZE, seed=0)
    arena = _Arena(backbone, length, examples, device)
    seconds = arena.race(lambda side: side.train(), rounds, on_progress)
    per_second = {f"{name[:-2]}_steps_per_s": steps / value for name, value in seconds.items()}
    return {**arena.about(), "steps": steps, **_ratios(seconds), **per_second}


def bench_probe(
    backbone: str = "smollm2",
    length: int = 20,
    limit: int = 128,
    permutations: int = 2,
    rounds: int = 2,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict:
    """Score ``limit`` test sentences in ``permutations`` orders of a prompt of ``length`` tokens.

    Returns:
        Permutations per second of each contestant, ratios, agreement, the fraction of the machine's
        matrix-product rate, and how labkit's time and memory grow with permutations and examples.
    """
    examples = load_task("rt-polarity").take("test", limit, seed=0)
    arena = _Arena(backbone, length, examples, device)
    orders = torch.from_numpy(Shuffle().draw(length, permutations))
    with torch.inference_mode():
        agreement = _agreement(arena.ours.in_orders(orders), arena.peft_fp32.in_orders(orders))
        seconds, rate = arena.rated_race(lambda side: side.in_orders(orders), rounds, on_progress)
        growth = _growth(arena.ours, length, permutations)
    useful = permutations * _useful_flops(arena.ours) / seconds["labkit_s"]
    per_second = {f"{k[:-2]}_per_s": permutations / value for k, value in seconds.items()}
    return {
        **arena.about(),
        "sentences": limit,
        "permutations": permutations,
        **_ratios(seconds),
        **per_second,
        "gemm_fraction": useful / rate,
        "gemm_rate_gflops": rate / 1e9,
        "agreement": agreement,
        **growth,
    }


def _growth(ours: _Labkit, length: int, permutations: int) -> dict[str, float]:
    """How time and memory grow: 2 is linear for the time, 1 is not at all for the memory."""
    task, process = load_task("rt-polarity"), psutil.Process()
    examples = len(ours.examples)

    def probe(count: int, limit: int) -> tuple[float, int]:
        """Seconds per scored row (the trained order is one too) and memory held afterwards."""
        orders = Shuffle().draw(length, count)
        started = time.perf_counter()
        probe_order(ours.model, ours.prompt, task, orders, limit=limit)
        return (time.perf_counter() - started) / (len(orders) + 1), process.memory_info().rss

    per_row, memory = probe(permutations, examples)
    per_row_of_more, memory_of_more = probe(2 * permutations, examples)
    per_row_of_half, _ = probe(permutations, examples // 2)
    return {
        "time_ratio_twice_the_orders": 2 * per_row_of_more / per_row,
        "time_ratio_twice_the_examples": per_row / per_row_of_half,
        "memory_ratio_twice_the_orders": memory_of_more / memory,
    }


class _Arena:
    """One backbone in fp32 and one in the fast precision, each under labkit and under PEFT."""

    def __init__(
        self, name: str, length: int, examples: Sequence[Example], device: str | None
    ) -> None:
        exact = load_backbone(name, device=device, dtype=torch.float32)
        self.fast_dtype = fast_dtype(exact.device)
        fast = load_backbone(name, device=device, dtype=self.fast_dtype)
        if exact.readout not in ("causal", "encoder"):
            raise LabError(
                f"{name} has the {exact.readout} readout; the benchmark compares causal models and "
                "text encoders, where PEFT computes the same scores"
            )
        vectors = SoftPrompt.from_vocab(exact, length, seed=0)
        self.name, self.length = name, length
        self.ours_fp32 = _Labkit(exact, vectors, examples)
        self.ours = _Labkit(fast, vectors, examples)
        self.peft_fp32 = _Peft(name, vectors, self.ours_fp32, by_length=False)
        self.peft_tuned = _Peft(name, vectors, self.ours, by_length=True)

    @property
    def device(self) -> torch.device:
        return self.ours.model.backbone.device

    def race(
        self, act: Callable[[_Labkit | _Peft], object], rounds: int, on_progress: OnProgress | None
    ) -> dict[str, float]:
        """Seconds that each contestant takes for the same thing."""
        sides = {"labkit_s": self.ours, "peft_s": self.peft_fp32, "peft_tuned_s": self.peft_tuned}
        acts = {name: functools.partial(act, side) for name, side in sides.items()}
        return _race(acts, rounds, on_progress, self.device)

    def rated_race(
        self, act: Callable[[_Labkit | _Peft], object], rounds: int, on_progress: OnProgress | None
    ) -> tuple[dict[str, float], float]:
        """As :meth:`race`, and the rate of a matrix product in FLOP/s: the faster of before and
        after, because a machine's slow moment would make the share of it too large."""
        before = _matrix_rate(self.ours.model.backbone)
        seconds = self.race(act, rounds, on_progress)
        return seconds, max(before, _matrix_rate(self.ours.model.backbone))

    def about(self) -> dict:
        return {
            "backbone": self.name,
            "length": self.length,
            "batch_size": BATCH_SIZE,
            "peft_tuned_scoring_batch": self.peft_tuned.scoring_batch,
            **self.ours.model.backbone.where(),
        }


class _Labkit:
    """labkit's own path, encoding included."""

    def __init__(self, backbone: Backbone, prompt: nn.Module, examples: Sequence[Example]) -> None:
        task = load_task("rt-polarity")
        self.model = PromptedModel.for_task(backbone, task)
        self.prompt, self.examples = prompt, examples
        self.sequences = self.model.encode(examples, prompt())
        self.labels = self.model.labels()
        self.targets = torch.tensor([example.label for example in examples])

    def scores(self) -> Tensor:
        return self.model.scores(self.prompt, self.examples)

    def in_orders(self, orders: Tensor) -> Tensor:
        """Scores in each order: (R·N, C)."""
        vectors = self.prompt().to(self.model.backbone.device)
        scorer = scoring.Scorer(self.model.backbone, self.sequences, self.labels)
        return torch.cat([scorer(vectors[order]) for order in orders])

    def train(self) -> None:
        prompt = SoftPrompt.from_prompt(self.prompt)
        optimizer = torch.optim.Adam(prompt.parameters(), lr=3e-3)
        backbone = self.model.backbone
        prefix = backbone.prefix_of(self.sequences)
        for rows in epoch_batches(len(self.sequences), BATCH_SIZE, 0, 0):
            batch = [self.sequences[row] for row in rows]
            vectors = self.model.vectors(prompt)
            scores = scoring.training_scores(backbone, batch, vectors, self.labels, prefix)
            loss = F.cross_entropy(scores, self.targets[rows].to(scores.device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


class _Peft:
    """The same prompt under PEFT, as its users run it."""

    def __init__(self, name: str, prompt: nn.Module, ours: _Labkit, by_length: bool) -> None:
        from peft import PromptTuningConfig, TaskType, get_peft_model

        # a model of its own: labkit changes the attention of the one that it works with
        as_ours = ours.model.backbone
        backbone = load_backbone(name, device=as_ours.device, dtype=as_ours.dtype)
        use_fused_kernel(backbone.model)
        causal = backbone.readout == "causal"
        config = PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM if causal else TaskType.FEATURE_EXTRACTION,
            num_virtual_tokens=len(prompt()),
        )
        self.backbone, self.ours = backbone, ours
        self.model = get_peft_model(backbone.model, config)
        self.start = prompt().detach()
        self._reset()
        texts = [[i for i in s.ids if i >= 0] for s in ours.sequences]
        lengths = [len(ids) for ids in texts]
        rows = sorted(range(len(texts)), key=lengths.__getitem__ if by_length else None)
        on_gpu = backbone.device.type != "cpu"
        self.scoring_batch = GPU_BATCH_SIZE if by_length and on_gpu else BATCH_SIZE
        self.rows, self.texts = rows, texts

    def _reset(self, order: Tensor | None = None) -> None:
        weight = self.model.prompt_encoder["default"].embedding.weight
        with torch.no_grad():
            weight.copy_(self.start if order is None else self.start[order])

    def _batches(self, size: int) -> Iterator[list[int]]:
        for start in range(0, len(self.rows), size):
            yield self.rows[start : start + size]

    def in_orders(self, orders: Tensor) -> Tensor:
        """Scores in each order, the prompt written anew for each: (R·N, C)."""
        return torch.cat([self.scores(order) for order in orders])

    def scores(self, order: Tensor | None = None) -> Tensor:
        self._reset(order)
        self.model.eval()
        result = torch.empty(len(self.texts), len(self.ours.labels.classes))
        with torch.no_grad():
            for rows in self._batches(self.scoring_batch):
                ids, mask = self._padded([self.texts[row] for row in rows])
                result[rows] = self._read(ids, mask).float().cpu()
        return result

    def train(self) -> None:
        self._reset()
        self.model.train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=3e-3)
        for rows in self._batches(BATCH_SIZE):
            self._loss(rows).backward()
            optimizer.step()
            optimizer.zero_grad()
        self.model.eval()

    def _loss(self, rows: list[int]) -> Tensor:
        targets = self.ours.targets[rows].to(self.backbone.device)
        texts = [self.texts[row] for row in rows]
        if self.backbone.readout != "causal":
            return F.cross_entropy(self._read(*self._padded(texts)), targets)
        words = [self.ours.labels.words[i] for i in targets.tolist()]
        ids, mask = self._padded([[*t, *w] for t, w in zip(texts, words, strict=True)])
        labels = torch.full(ids.shape, -100)
        for row, (text, word) in enumerate(zip(texts, words, strict=True)):
            labels[row, len(text) : len(text) + len(word)] = torch.tensor(word)
        return self.model(input_ids=ids, attention_mask=mask, labels=labels.to(ids.device)).loss

    def _read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Label scores from PEFT's output, whose positions count the virtual tokens."""
        output = self.model(input_ids=ids, attention_mask=mask)
        extra = len(self.start)
        if self.backbone.readout == "causal":
            last = extra + mask.sum(1) - 1
            logits = output.logits[torch.arange(len(ids)), last]  # (B, V)
            return logits[:, [word[0] for word in self.ours.labels.words]]
        pooled = mean_pooled(output.last_hidden_state[:, extra:], mask)
        return ENCODER_SCALE * pooled @ self.backbone.label_vectors(self.ours.labels.words).T

    def _padded(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        batch = collate([Encoded(tuple(ids), -1) for ids in texts], self.backbone.device)
        return batch.ids, batch.mask


def _race(
    contestants: dict[str, Callable[[], object]],
    rounds: int,
    on_progress: OnProgress | None,
    device: torch.device,
) -> dict[str, float]:
    """Fastest of ``rounds`` alternating rounds after one that is not counted: seconds."""
    best = dict.fromkeys(contestants, float("inf"))
    total = len(contestants) * (rounds + 1)
    for turn in range(rounds + 1):
        for index, (name, act) in enumerate(contestants.items()):
            if on_progress is not None:
                on_progress(turn * len(contestants) + index, total, name.removesuffix("_s"))
            started = time.perf_counter()
            act()
            synchronise(device)
            if turn:
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    return {
        **seconds,
        "ratio": seconds["peft_s"] / seconds["labkit_s"],
        "ratio_tuned": seconds["peft_tuned_s"] / seconds["labkit_s"],
    }


def _agreement(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.argmax(-1) == theirs.argmax(-1)).float().mean())


def _check_agreement(exact: Tensor, fast: Tensor, reference: Tensor) -> None:
    if _agreement(exact, reference) < 1:
        raise AssertionError("labkit and PEFT disagree in fp32: one of them is wrong")
    margin = reference.topk(2).values.diff().abs()[:, 0]
    differ = fast.argmax(-1) != reference.argmax(-1)
    if differ.float().mean() > 0.01 or bool((margin[differ] >= BF16_MARGIN).any()):
        raise AssertionError(
            f"the fast precision changes {int(differ.sum())} predictions, of margins "
            f"{margin[differ].tolist()}"
        )


def _matrix_rate(backbone: Backbone) -> float:
    """Measured rate of the backbone's own kind of matrix product, in FLOP/s."""
    return scoring.matrix_rate(max(_layer_weights(backbone), key=torch.Tensor.numel))


def _layer_weights(backbone: Backbone) -> list[Tensor]:
    base = backbone.model.base_model
    return [m.weight for m in base.modules() if isinstance(m, nn.Linear)]


def _useful_flops(ours: _Labkit) -> float:
    """Arithmetic that the task itself asks for: linear layers and attention over every word once,
    the shared part once, no padding; the vocabulary head left out."""
    backbone, sequences = ours.model.backbone, ours.sequences
    leading = len(backbone.prefix_of(sequences))
    lengths = [len(sequence.ids) for sequence in sequences]
    tokens = leading + sum(length - leading for length in lengths)
    linear = sum(weight.numel() for weight in _layer_weights(backbone))
    config = backbone.model.config
    # a token's product with the keys, and its weighted sum of the values, of all it attends to
    causal = backbone.readout == "causal"
    pairs = sum((n * (n + 1) - leading * (leading + 1)) / 2 if causal else n * n for n in lengths)
    attention = 2 * config.num_hidden_layers * config.hidden_size * pairs
    return 2.0 * (tokens * linear + attention)
