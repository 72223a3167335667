"""`fit`: train whatever may change (a prompt, or an unfrozen backbone) on a task.

One loop serves soft prompts, P-Tuning, sorters and fine-tuning: parameters with ``requires_grad``
move, nothing else. The loss is the cross entropy of the label scores, against the class or, for a
regression, against the two poles in proportion; or the label's own text is made likely among all
that the model could write (``loss="target"``).

A run can be stopped at any moment and continued to the bit-identical result: the order of batches
depends on (seed, epoch) alone, and everything else that changes is in the checkpoint, which is
written aside and moved into place in one operation.

Usage::

    history = fit(model, prompt, task, steps=200, batch_size=16, lr=3e-3)
    history = fit(model, prompt, task, steps=30_000, batch_size=32, lr=0.3, optimizer="adafactor",
                  weight_decay=1e-5, evaluate_every=500, checkpoint="run", resume=True)
"""

from __future__ import annotations

import functools
import hashlib
import math
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.optimization import Adafactor

from labkit.core import proofs, scoring
from labkit.core.budget import is_out_of_memory, within_memory
from labkit.core.devices import moved
from labkit.core.errors import LabError, first_line
from labkit.core.files import file_aside
from labkit.core.modes import modes_kept
from labkit.core.prompted_model import PromptedModel, evaluate, for_classes, require_scorable
from labkit.core.recipe import Recipe, require_not_negative, require_positive
from labkit.core.sequences import Encoded
from labkit.core.tasks import Example, Task

TRAINED, RANDOM = "trained", "random"
ORDERS = (TRAINED, RANDOM)
"""Orders of the virtual tokens that a step is taken in: always the same, or a new one each."""

CLASSES, TARGET = "classes", "target"
LOSSES = (CLASSES, TARGET)
"""What is made likely: the right class among the classes, or its text among all texts."""

WRITING = ("causal", "seq2seq")
"""Readouts whose label scores are log-probabilities of a text."""

OnStep = Callable[[int, float, float | None], None]
"""Called after each step with (steps done, loss, validation score or None)."""


class NotFiniteError(LabError):
    """The training has left the range of numbers: the rate is too high, or the model broken."""


@dataclass
class History:
    """What happened in a run.

    Attributes:
        losses: training loss of each step.
        validation: (steps done, validation score) of each evaluation.
        best_step: step whose weights were kept, chosen on validation; the last step without one.
        seconds: training time, evaluations left out.
        stopped_early: whether validation stopped improving before the last step.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0
    stopped_early: bool = False

    @property
    def steps(self) -> int:
        return len(self.losses)

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds if self.seconds else float("nan")


def fit(
    model: PromptedModel,
    prompt: nn.Module | None,
    task: Task,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    orders: str = TRAINED,
    loss: str = CLASSES,
    checkpoint: str | Path | None = None,
    save_every: int = 25,
    resume: bool = False,
    on_step: OnStep | None = None,
    **changes: object,
) -> History:
    """Train ``prompt`` (and the backbone, if it was loaded trainable) on the task's train split.

    Args:
        recipe: how; any field of :class:`~labkit.core.recipe.Recipe` can be given by its name
            instead or besides: ``steps``, ``batch_size``, ``lr``, ``optimizer``, ``schedule``,
            ``warmup``, ``weight_decay``, ``clip``, ``evaluate_every``, ``validation_limit``,
            ``patience``.
        seed: of the order of examples, of dropout, and of the sample that ``limit`` takes.
        limit: train on a seeded sample of that many examples.
        orders: one of :data:`ORDERS`; ``random`` takes every step under a new random order of the
            virtual tokens, so that the prompt can't lean on one. Evaluations are in its own order.
        loss: one of :data:`LOSSES`; ``classes`` reads the text of every class and makes the right
            one likely among them, ``target`` reads the right one alone and makes it likely among
            all that the model could write (Lester et al. 2021, section 2): the loss for a model
            that is to write its answer, and the faster one where there are many classes.
        checkpoint: folder to save the run's state in every ``save_every`` steps.
        resume: continue from that folder if it holds a state, else start.

    Raises:
        LabError: for settings out of range, nothing to train, a loss that is not finite or that the
            model or task has not, or a checkpoint that is damaged or was made with other settings.
    """
    recipe = (recipe or Recipe()).with_changes(changes)
    require_not_negative("seed", seed)
    require_positive("save_every", save_every)
    if orders not in ORDERS:
        raise LabError(f"orders={orders!r} is unknown; choose one of {', '.join(ORDERS)}")
    _require_loss(loss, model, task)
    if resume and checkpoint is None:
        raise LabError("resume needs the checkpoint folder of the run to continue")
    task = model.view_of(task)
    if recipe.evaluate_every is not None:  # what is missing is noticed now, not steps later
        require_scorable(model, prompt, task, "validation", limit=recipe.validation_limit)
    device = model.backbone.device
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), modes_kept(model, prompt):
        torch.manual_seed(seed)
        run = _Run(for_classes(model, task), prompt, task, recipe, seed, limit, orders, loss)
        file = None if checkpoint is None else Path(checkpoint) / "state.pt"
        if resume and file.exists():
            run.load(file)
        while not run.finished:
            run.step(on_step)
            if file is not None and (run.finished or run.history.steps % save_every == 0):
                run.save(file)
        run.keep_best()
    return run.history


class _Run:
    """The state of one training run: everything that a checkpoint holds."""

    def __init__(
        self,
        model: PromptedModel,
        prompt: nn.Module | None,
        task: Task,
        recipe: Recipe,
        seed: int,
        limit: int | None,
        orders: str,
        loss: str,
    ) -> None:
        self.model, self.prompt, self.task = model, prompt, task
        self.recipe, self.seed, self.orders, self.loss = recipe, seed, orders, loss
        examples = task.split("train") if limit is None else task.take("train", limit, seed=seed)
        splits = ("train", "validation") if recipe.evaluate_every else ("train",)
        self.settings = {
            **recipe.training_fields(),
            "seed": seed,
            "limit": limit,
            "orders": orders,
            "loss": loss,
            "task": task.name,
            "examples": task.fingerprint(*splits),
            **model.layout(),
            "prompt": _untrained_part(prompt),
            "module": repr(prompt),  # how its parts are set
        }
        self.trained = nn.ModuleList([m for m in (prompt, model) if m is not None])
        self.parameters = [p for p in self.trained.parameters() if p.requires_grad]
        if not self.parameters:
            raise LabError(
                "nothing to train: the prompt has no free parameters and the backbone is frozen; "
                "give a SoftPrompt, or load the backbone with trainable=True"
            )
        self.optimizer = _optimizer(self.parameters, recipe)
        self.history = History()
        self.best: tuple[float, list[Tensor]] | None = None
        self.sequences = model.encode(examples, model.fixed_vectors(prompt))
        self.targets = targets(examples, task)  # (N, C)
        self.labels = model.labels()
        self.prefix = model.backbone.prefix_of(self.sequences)

    @property
    def finished(self) -> bool:
        return self.history.steps >= self.recipe.steps or self.history.stopped_early

    def step(self, on_step: OnStep | None) -> None:
        """One optimizer step, and the evaluation that falls due after it."""
        started = time.perf_counter()
        self.trained.train()
        size = self.recipe.batch_size
        rows = batch_of_step(self.history.steps, len(self.sequences), size, self.seed)
        loss = within_memory(self.model.backbone.device, lambda: self._gradient(rows))
        if not math.isfinite(loss):
            raise NotFiniteError(
                f"the loss is not finite at step {self.history.steps + 1}; lower the learning rate "
                f"(now {self.recipe.lr:g})"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_rate(self.history.steps, self.recipe)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        self.optimizer.step()
        self.history.losses.append(loss)
        self.history.seconds += time.perf_counter() - started
        value = self._evaluate_if_due()
        if on_step is not None:
            on_step(self.history.steps, loss, value)

    def _gradient(self, rows: list[int]) -> float:
        """The loss of these examples, whose gradient is left in the parameters."""
        self.optimizer.zero_grad()
        loss = self._loss([self.sequences[row] for row in rows], self.targets[rows])
        try:
            loss.backward()
        except proofs.FAILURES as error:
            if is_out_of_memory(error):
                raise
            raise LabError(
                f"{self.model.backbone.name} gives no gradient at its input "
                f"({first_line(error)}); use another model"
            ) from error
        return loss.item()

    def _loss(self, sequences: list[Encoded], targets: Tensor) -> Tensor:
        vectors = self._in_order(self.model.vectors(self.prompt))
        backbone = self.model.backbone
        if self.loss == TARGET:
            return self._target_loss(sequences, targets.argmax(-1).tolist(), vectors)
        scores = scoring.training_scores(backbone, sequences, vectors, self.labels, self.prefix)
        return F.cross_entropy(scores, moved(targets, scores.device))

    def _target_loss(
        self, sequences: list[Encoded], classes: list[int], vectors: Tensor | None
    ) -> Tensor:
        """Mean −log-probability of the text of each sequence's class; those of one class are read
        together."""
        backbone = self.model.backbone
        prefix = backbone.read(self.prefix, vectors)
        log_probs = []
        for label in sorted(set(classes)):
            rows = [row for row, own in zip(sequences, classes, strict=True) if own == label]
            text = self.labels.of_class(label)
            log_probs.append(scoring.training_scores(backbone, rows, vectors, text, prefix)[:, 0])
        return -torch.cat(log_probs).mean()

    def _in_order(self, vectors: Tensor | None) -> Tensor | None:
        """The virtual tokens (P, D) as this step sees them."""
        if vectors is None or self.orders == TRAINED:
            return vectors
        random = np.random.default_rng([self.seed, self.history.steps, len(vectors)])
        order = torch.from_numpy(random.permutation(len(vectors)))
        return vectors[moved(order, vectors.device)]

    def _evaluate_if_due(self) -> float | None:
        every, done = self.recipe.evaluate_every, self.history.steps
        if every is None or (done % every and done != self.recipe.steps):
            return None
        limit = self.recipe.validation_limit
        value = evaluate(self.model, self.prompt, self.task, "validation", limit=limit).value
        self.history.validation.append((done, value))
        if self.best is None or value > self.best[0]:
            self.best = (value, [p.detach().clone() for p in self.parameters])
            self.history.best_step = done
        patience = self.recipe.patience
        since_best = sum(step > self.history.best_step for step, _ in self.history.validation)
        self.history.stopped_early = patience is not None and since_best >= patience
        return value

    def keep_best(self) -> None:
        """Put the weights back that were best on validation."""
        if self.best is None:
            self.history.best_step = self.history.steps
            return
        with torch.no_grad():
            for parameter, kept in zip(self.parameters, self.best[1], strict=True):
                parameter.copy_(kept)

    def save(self, file: Path) -> None:
        """Write the state aside, then move it into place: a reader sees the old or the new one."""
        state = {
            "settings": self.settings,
            "parameters": [p.detach() for p in self.parameters],
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random on the GPU": self._gpu_random(),
            "history": asdict(self.history),
            "best": self.best,
        }
        try:
            with file_aside(file) as aside:
                torch.save(state, aside)
        except (OSError, RuntimeError) as error:
            raise LabError(
                f"the state of the run cannot be written to {file.parent} ({error}); make room or "
                "choose another folder (the last state saved there is intact)"
            ) from error

    def load(self, file: Path) -> None:
        state = _read_state(file)
        shapes = [tuple(saved.shape) for saved in state["parameters"]]
        if shapes != [tuple(p.shape) for p in self.parameters]:
            raise LabError(
                f"the saved state {file} belongs to another prompt (shapes {shapes}); give the "
                "same prompt, or another folder"
            )
        # what an earlier state does not name was not to be chosen then, or not kept
        before = {"orders": TRAINED, "loss": CLASSES, "module": self.settings["module"]}
        _check_same(before | state["settings"], self.settings, file)
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if self._gpu_random() is not None and state["random on the GPU"] is not None:
            torch.cuda.set_rng_state(state["random on the GPU"], self.model.backbone.device)
        self.history = History(**state["history"])
        self.best = state["best"]

    def _gpu_random(self) -> Tensor | None:
        """State of the random numbers of the model's GPU, where dropout draws them."""
        device = self.model.backbone.device
        return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _require_loss(loss: str, model: PromptedModel, task: Task) -> None:
    if loss not in LOSSES:
        raise LabError(f"loss={loss!r} is unknown; choose one of {', '.join(LOSSES)}")
    if loss == TARGET and model.backbone.readout not in WRITING:
        raise LabError(
            f"{model.backbone.name} writes no text ({model.backbone.readout} readout), so that its "
            f"answers have no likelihood; train with loss={CLASSES!r}"
        )
    if loss == TARGET and task.kind == "regression":
        raise LabError(
            f"task {task.name!r} is a regression, which no single text answers; train with "
            f"loss={CLASSES!r}, or write its numbers out with labkit.glue.with_number_strings"
        )


def _untrained_part(prompt: nn.Module | None) -> str:
    """Kind of the prompt, and a digest of what training leaves alone in it (the frozen prompt that
    a sorter stands around)."""
    if prompt is None:
        return "none"
    total = hashlib.sha256()
    for name, tensor in prompt.state_dict(keep_vars=True).items():
        if not tensor.requires_grad:
            total.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return f"{type(prompt).__name__} {total.hexdigest()[:16]}"


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch in random order; every example comes up exactly once.

    Batches of similar length would hold less padding, and train worse: each step then sees one
    length of text only (smollm2, rt-polarity, 200 steps: 0.848 against 0.863 on validation).
    """
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


# one step after the other asks for the batches of one epoch
_same_epoch = functools.lru_cache(maxsize=1)(epoch_batches)


def batch_of_step(step: int, count: int, batch_size: int, seed: int) -> list[int]:
    """Which of ``count`` examples step ``step`` sees, counted from 0, epoch after epoch."""
    epoch, index = divmod(step, math.ceil(count / batch_size))
    return _same_epoch(count, batch_size, seed, epoch)[index]


def targets(examples: Sequence[Example], task: Task) -> Tensor:
    """Probability of each class: (N, C); for a regression the share of the two poles, (N, 2)."""
    labels = torch.tensor([example.label for example in examples])
    if task.kind == "regression":
        low, high = task.range
        share = (labels.float() - low) / (high - low)
        return torch.stack([1 - share, share], dim=-1)
    return F.one_hot(labels, len(task.labels)).float()


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    shared: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, **shared)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **shared)
    return Adafactor(parameters, scale_parameter=False, relative_step=False, **shared)


def scheduled_rate(step: int, recipe: Recipe) -> float:
    """Learning rate of step ``step`` (counted from 0)."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    factor = {"constant": 1.0, "linear": 1 - share, "cosine": (1 + math.cos(math.pi * share)) / 2}
    return recipe.lr * factor[recipe.schedule]


def _read_state(file: Path) -> dict:
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:  # torch.load checks no sums
                raise ValueError("a part of the file is not what was written")
        # a run that was saved on a GPU opens without one
        state = torch.load(file, map_location="cpu", weights_only=True)
        if "settings" not in state:
            raise ValueError("this is another file")
    except Exception as error:  # torch.load raises whatever the damaged bytes lead to
        raise LabError(
            f"the saved state {file} is damaged; delete it and start again without resuming"
        ) from error
    return state


def _check_same(saved: Mapping, wanted: Mapping, file: Path) -> None:
    for name in {**wanted, **saved}:
        if saved.get(name) != wanted.get(name):
            raise LabError(
                f"the saved state {file} was made with {name}={saved.get(name)!r}, now it is "
                f"{wanted.get(name)!r}; use the same settings, or delete it to start again"
            )
