"""`fit`: what moves, which way, and that a broken-off run goes on to the same bit."""

from __future__ import annotations

import math
import pickle
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import plain
from labkit.core import scoring, tuning
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.recipe import OPTIMIZERS, SCHEDULES
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.lstm_sorter import LSTMSorter, SinkhornSorter, SoftSorter
from labkit.position_enhancement import PositionEnhancement
from labkit.soft_prompt import SoftPrompt
from tiny import FAMILIES

WORDS = ["terrible", "great"]


def start(backbone, length=3) -> SoftPrompt:
    return SoftPrompt.from_uniform(backbone, length, seed=1)


def outcome(history) -> dict:
    """Everything in a history but the time it took."""
    return {name: value for name, value in asdict(history).items() if name != "seconds"}


# ---- which way ----


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_finite_differences(tiny_folder, tiny_task, family):
    """Along random directions, the backbone in float64 so that differences can be small."""
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float64)
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    examples = tiny_task.split("train")
    targets = torch.tensor([example.label for example in examples])
    sequences = model.encode(examples, prompt())
    prefix = backbone.prefix_of(sequences)

    def loss(vectors):
        scores = scoring.class_scores(backbone, sequences, vectors, model.labels(), prefix)
        return F.cross_entropy(scores.double(), targets)

    (gradient,) = torch.autograd.grad(loss(prompt()), prompt.weight)
    far = 1e-3  # the scores come in fp32
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        direction = torch.randn(prompt.weight.shape, generator=generator)
        with torch.no_grad():
            there = prompt().double()
            ahead, behind = (loss(there + step * direction) for step in (far, -far))
        slope = (gradient * direction).sum().item()
        measured = (ahead - behind).item() / (2 * far)
        assert measured == pytest.approx(slope, abs=0.06 * gradient.norm().item())
    assert gradient.norm() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_over_all_examples_by_hand(tiny_backbone, tiny_folder, tiny_task, family):
    """Loss, gradient and Adam's first step (lr · sign of the gradient) by a plain forward pass."""
    backbone, prompt = tiny_backbone(family), start(tiny_backbone(family))
    hf = plain.load(family, tiny_folder(family))
    vectors = prompt().detach().clone().requires_grad_()
    examples = tiny_task.split("train")
    scores = torch.stack(
        [plain.score(family, hf, backbone.tokenizer, vectors, e.text, WORDS) for e in examples]
    )
    loss = F.cross_entropy(scores, torch.tensor([e.label for e in examples]))
    loss.backward()
    model = PromptedModel.for_task(backbone, tiny_task)
    history = fit(model, prompt, tiny_task, steps=1, batch_size=24, lr=0.01, clip=None)
    assert history.losses[0] == pytest.approx(loss.item(), rel=1e-5)
    clear = vectors.grad.abs() > 1e-4  # elsewhere rounding decides the sign
    assert clear.float().mean() > 0.5
    step = prompt().detach() - vectors.detach()
    torch.testing.assert_close(
        step[clear], -0.01 * vectors.grad.sign()[clear], rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_the_loss_of_a_target_is_its_likelihood_among_all_texts(
    tiny_backbone, tiny_folder, tiny_task, family
):
    """Loss and Adam's first step by Hugging Face's own, which knows of no classes."""
    backbone, prompt = tiny_backbone(family), start(tiny_backbone(family))
    hf = plain.load(family, tiny_folder(family))
    vectors = prompt().detach().clone().requires_grad_()
    log_probs = [
        plain.score(family, hf, backbone.tokenizer, vectors, e.text, [WORDS[e.label]])
        for e in tiny_task.split("train")
    ]
    loss = -torch.cat(log_probs).mean()
    loss.backward()
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 1, "batch_size": 24, "lr": 0.01, "clip": None}
    history = fit(model, prompt, tiny_task, loss="target", **settings)
    assert history.losses[0] == pytest.approx(loss.item(), rel=1e-5)
    clear = vectors.grad.abs() > 1e-4  # elsewhere rounding decides the sign
    step = prompt().detach() - vectors.detach()
    torch.testing.assert_close(
        step[clear], -0.01 * vectors.grad.sign()[clear], rtol=1e-3, atol=1e-6
    )
    among_two = fit(model, start(backbone), tiny_task, **settings).losses[0]
    assert among_two < history.losses[0]


def test_a_loss_that_the_model_or_the_task_has_not_is_refused(tiny_backbone, tiny_task):
    def refused(family, loss, task=tiny_task):
        model = PromptedModel.for_task(tiny_backbone(family), task)
        with pytest.raises(LabError) as error:
            fit(model, start(model.backbone), task, steps=1, loss=loss)
        return str(error.value)

    assert "'targets' is unknown; choose one of classes, target" in refused("t5", "targets")
    for family in ("bert", "bert-encoder"):
        assert "writes no text" in refused(family, "target")
    splits = {"train": tuple(replace(e, label=1.0) for e in tiny_task.split("train"))}
    rated = replace(tiny_task, labels=(), range=(0.0, 5.0), splits=splits)
    assert "with_number_strings" in refused("t5", "target", rated)


def test_a_regression_is_trained_against_the_two_poles_in_proportion(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    examples = tuple(
        replace(e, label=float(i % 6) - 1) for i, e in enumerate(tiny_task.split("train"))
    )
    task = replace(tiny_task, labels=(), range=(-1.0, 4.0), splits={"train": examples})
    poles = Verbalizer({"low": "terrible", "high": "great"})
    model = PromptedModel.for_task(backbone, task).with_changes(verbalizer=poles)
    prompt = start(backbone)
    log_p = model.scores(prompt, examples).log_softmax(-1)
    share = torch.tensor([(e.label + 1) / 5 for e in examples])
    by_hand = -((1 - share) * log_p[:, 0] + share * log_p[:, 1]).mean()
    history = fit(model, prompt, task, steps=30, batch_size=24, lr=0.05)
    assert history.losses[0] == pytest.approx(by_hand.item(), rel=1e-5)
    assert history.losses[-1] < history.losses[0]
    assert evaluate(model, prompt, task, "train").value > 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_training_learns_and_moves_the_prompt_alone(tiny_folder, tiny_task, family, optimizer):
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float32)
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone, 5)
    others = {name: p.clone() for name, p in backbone.named_parameters()}
    before, loss = prompt().detach().clone(), None
    history = fit(model, prompt, tiny_task, steps=20, batch_size=24, lr=0.05, optimizer=optimizer)
    loss = history.losses
    assert history.steps == len(loss) == history.best_step == 20
    assert min(loss[10:]) < loss[0]
    assert (prompt() != before).any(-1).all()  # every virtual token
    for name, parameter in backbone.named_parameters():
        assert torch.equal(parameter, others[name]) and parameter.grad is None


def test_a_module_around_a_frozen_prompt_trains_its_own_parameters(tiny_backbone, tiny_task):
    class Scaled(nn.Module):
        def __init__(self, prompt):
            super().__init__()
            self.prompt = prompt.requires_grad_(False)
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self):
            return self.factor * self.prompt()

    backbone = tiny_backbone("llama")
    scaled = Scaled(start(backbone))
    before = scaled.prompt().clone()
    fit(PromptedModel.for_task(backbone, tiny_task), scaled, tiny_task, steps=2)
    assert scaled.factor != 1 and torch.equal(scaled.prompt(), before)


# ---- training and evaluation mode ----


class Sampling(SoftPrompt):
    """A prompt that adds noise while it is trained, as a sorter that samples orders does."""

    def forward(self):
        return self.weight + torch.randn_like(self.weight) if self.training else self.weight


@pytest.mark.parametrize("mode", [True, False])
def test_a_prompt_samples_while_it_is_trained_and_never_while_it_is_scored(
    tiny_backbone, tiny_task, mode
):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = Sampling(start(backbone).weight).train(mode)
    still = SoftPrompt(prompt.weight)
    first = evaluate(model, prompt, tiny_task).scores
    assert (first == evaluate(model, still, tiny_task).scores).all()
    examples = tiny_task.split("test")
    assert torch.equal(model.scores(prompt, examples), model.scores(still, examples))
    settings = {"steps": 2, "batch_size": 24, "evaluate_every": 1}
    noisy = fit(model, prompt, tiny_task, **settings)
    quiet = fit(model, still, tiny_task, **settings)
    assert abs(noisy.losses[0] - quiet.losses[0]) > 1e-3
    assert prompt.training is mode
    again = evaluate(model, prompt, tiny_task).scores
    assert (again == evaluate(model, SoftPrompt(prompt.weight), tiny_task).scores).all()


@pytest.mark.parametrize("trainable", [True, False])
def test_dropout_is_on_where_weights_are_trained_and_only_there(tiny_folder, tiny_task, trainable):
    def loaded():
        backbone = load_backbone(str(tiny_folder("bert")), trainable=trainable, device="cpu")
        assert any(isinstance(m, nn.Dropout) and m.p > 0 for m in backbone.modules())
        prompt = None if trainable else start(backbone)
        return PromptedModel.for_task(backbone, tiny_task, soft=not trainable), prompt

    model, prompt = loaded()
    examples = tiny_task.split("train")
    scores = model.scores(prompt, examples)
    without = F.cross_entropy(scores, torch.tensor([e.label for e in examples])).item()
    history = fit(model, prompt, tiny_task, steps=1, batch_size=len(examples))
    if trainable:
        assert abs(history.losses[0] - without) > 1e-3
    else:
        assert history.losses[0] == pytest.approx(without, rel=1e-4)
    model.train()  # whoever calls it: scores have no dropout
    first, second = (evaluate(model, prompt, tiny_task).scores for _ in range(2))
    assert (first == second).all()


# ---- batches ----


def trained_on(monkeypatch, model, prompt, task, **settings) -> list[list[tuple]]:
    """The batches that `fit` scores, as lists of token ids."""
    batches, real = [], scoring.training_scores

    def spy(backbone, sequences, *args, **kwargs):
        batches.append([sequence.ids for sequence in sequences])
        return real(backbone, sequences, *args, **kwargs)

    monkeypatch.setattr(scoring, "training_scores", spy)
    fit(model, prompt, task, **settings)
    monkeypatch.undo()
    return batches


@pytest.mark.parametrize(("batch_size", "per_epoch"), [(1, 24), (5, 5), (8, 3), (24, 1), (99, 1)])
def test_every_example_comes_up_once_an_epoch(
    monkeypatch, tiny_backbone, tiny_task, batch_size, per_epoch
):
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    everything = Counter(s.ids for s in model.encode(tiny_task.split("train"), prompt()))
    batches = trained_on(
        monkeypatch, model, prompt, tiny_task, steps=2 * per_epoch, batch_size=batch_size
    )
    assert len(batches) == 2 * per_epoch
    assert max(map(len, batches)) == min(batch_size, 24)
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        assert Counter(ids for batch in epoch for ids in batch) == everything
    if batch_size < 24:
        assert batches[:per_epoch] != batches[per_epoch:]  # in another order


def test_the_seed_alone_decides(monkeypatch, tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)

    def run(seed):
        torch.rand(7)  # whatever was drawn before
        prompt = start(backbone)
        settings = {"steps": 4, "batch_size": 5, "limit": 11, "seed": seed}
        batches = trained_on(monkeypatch, model, prompt, tiny_task, **settings)
        return batches, prompt().detach()

    (first, prompt), (again, same), (other, _) = run(0), run(0), run(1)
    assert first == again and torch.equal(prompt, same)
    assert first != other
    assert len({ids for batch in first[:3] for ids in batch}) <= 11
    state = torch.get_rng_state()
    run(0)
    torch.set_rng_state(state)
    expected = torch.rand(1)
    torch.set_rng_state(state)
    fit(model, start(backbone), tiny_task, steps=1)
    assert torch.equal(torch.rand(1), expected)  # the caller's own draws go on undisturbed


def seen_in_training(monkeypatch, model, prompt, task, **settings):
    """The virtual tokens (P, D) that each step's scores were computed from."""
    seen = []
    inner = scoring.training_scores

    def watch(backbone, sequences, vectors, *rest):
        seen.append(vectors.detach().clone())
        return inner(backbone, sequences, vectors, *rest)

    with monkeypatch.context() as watched:
        watched.setattr(scoring, "training_scores", watch)
        fit(model, prompt, task, **settings)
    return seen


def test_every_step_sees_the_prompt_in_a_new_order(monkeypatch, tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    rows = torch.arange(8.0)[:, None].expand(8, backbone.hidden_size) / 8
    settings = {"steps": 20, "lr": 1e-9}  # so that a row can be told by what it holds
    for seed in (0, 1):
        prompt = SoftPrompt(rows)
        seen = seen_in_training(
            monkeypatch, model, prompt, tiny_task, orders="random", seed=seed, **settings
        )
        orders = [tuple((8 * vectors[:, 0]).round().int().tolist()) for vectors in seen]
        assert all(sorted(order) == list(range(8)) for order in orders)
        assert len(set(orders)) == 20
        assert np.mean(orders, axis=0) == pytest.approx(3.5, abs=2)  # any token at any place
        torch.testing.assert_close(prompt(), rows, rtol=0, atol=1e-6)  # each row stays its own
    plainly = seen_in_training(monkeypatch, model, SoftPrompt(rows), tiny_task, **settings)
    assert all(torch.allclose(vectors, rows, atol=1e-6) for vectors in plainly)


def test_a_gradient_goes_back_to_the_rows_that_were_moved(monkeypatch, tiny_backbone, tiny_task):
    """One step in a random order is a plain step of the prompt that stands in that order."""
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 1, "batch_size": 24, "lr": 0.05, "clip": None}
    moved = start(backbone, 6)
    (seen,) = seen_in_training(monkeypatch, model, moved, tiny_task, orders="random", **settings)
    order = torch.cdist(seen, start(backbone, 6)()).argmin(1)
    assert order.tolist() != list(range(6))
    stands_there = SoftPrompt(start(backbone, 6)()[order])
    fit(model, stands_there, tiny_task, **settings)
    torch.testing.assert_close(moved()[order], stands_there(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1]),
        ("constant", 2, [0.5, 1, 1, 1]),
        ("linear", 0, [1, 0.75, 0.5, 0.25]),
        ("linear", 2, [0.5, 1, 1, 0.5]),
        ("cosine", 0, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        ("cosine", 9, [1 / 9, 2 / 9, 3 / 9, 4 / 9]),
    ],
)
def test_schedules(monkeypatch, tiny_backbone, tiny_task, schedule, warmup, expected):
    rates, real = [], torch.optim.Adam.step

    def spy(optimizer, *args, **kwargs):
        rates.append(optimizer.param_groups[0]["lr"])
        return real(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    fit(model, start(backbone), tiny_task, steps=4, lr=0.2, schedule=schedule, warmup=warmup)
    assert rates == pytest.approx([0.2 * share for share in expected])


@pytest.mark.parametrize("clip", [None, 1e-3, 1e9])
def test_clip_bounds_the_gradients_norm(monkeypatch, tiny_backbone, tiny_task, clip):
    norms, real = [], torch.optim.Adam.step

    def spy(optimizer, *args, **kwargs):
        norms.append(optimizer.param_groups[0]["params"][0].grad.norm().item())
        return real(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    fit(model, start(backbone), tiny_task, steps=2, clip=clip)
    assert norms == pytest.approx([1e-3, 1e-3], rel=1e-2) if clip == 1e-3 else min(norms) > 1e-2


# ---- validation ----


def scripted(monkeypatch, values):
    """Validation gives these values, one after the other."""
    given, real = iter(values), tuning.evaluate

    def evaluate_as_told(*args, **kwargs):
        return replace(real(*args, **kwargs), value=next(given))

    monkeypatch.setattr(tuning, "evaluate", evaluate_as_told)


@pytest.mark.parametrize(
    ("values", "patience", "steps", "best"),
    [
        ([0.5, 0.7, 0.6, 0.65, 0.9], None, 10, 10),
        ([0.5, 0.7, 0.6, 0.65, 0.6], None, 10, 4),
        ([0.5, 0.7, 0.6, 0.65, 0.9], 2, 8, 4),
        ([0.5, 0.7, 0.7, 0.7, 0.9], 2, 8, 4),  # the first of those that tie
        ([0.5, 0.4, 0.6, 0.5, 0.7], 2, 10, 10),
        ([0.5, 0.4, 0.6, 0.5, 0.7], 1, 4, 2),
    ],
)
def test_the_best_weights_on_validation_are_kept(
    monkeypatch, tiny_backbone, tiny_task, values, patience, steps, best
):
    scripted(monkeypatch, values)
    backbone = tiny_backbone("llama")
    model, prompt, seen = PromptedModel.for_task(backbone, tiny_task), start(backbone), {}
    heard = []

    def on_step(step, loss, value):
        seen[step] = prompt().detach().clone()
        heard.append((step, value))

    history = fit(
        model, prompt, tiny_task, steps=10, lr=0.1, evaluate_every=2, patience=patience,
        on_step=on_step,
    )  # fmt: skip
    assert history.steps == steps and history.best_step == best
    assert history.stopped_early is (steps < 10)
    assert torch.equal(prompt(), seen[best])
    assert history.validation == list(zip(range(2, steps + 1, 2), values, strict=False))
    assert [pair for pair in heard if pair[1] is not None] == history.validation


def test_the_last_step_is_evaluated_too(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    history = fit(model, prompt, tiny_task, steps=7, lr=0.1, evaluate_every=3, validation_limit=5)
    assert [step for step, _ in history.validation] == [3, 6, 7]
    kept = evaluate(model, prompt, tiny_task, "validation", limit=5).value
    assert kept == max(value for _, value in history.validation)


# ---- broken off and continued ----


class Stopped(Exception):
    pass


def continued(model, make_prompt, task, folder, stops, **settings):
    """A run that breaks off after each of ``stops``, begun anew with a fresh prompt every time."""
    for stop in stops:

        def on_step(step, *_, stop=stop):
            if step == stop:
                raise Stopped

        with pytest.raises(Stopped):
            fit(
                model, make_prompt(), task, checkpoint=folder, resume=True, on_step=on_step,
                **settings,
            )  # fmt: skip
    prompt = make_prompt()
    return prompt, fit(model, prompt, task, checkpoint=folder, resume=True, **settings)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_continued_is_the_run_uninterrupted_to_the_bit(
    tiny_backbone, tiny_task, tmp_path, optimizer, schedule
):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {
        "steps": 13, "batch_size": 7, "lr": 0.05, "optimizer": optimizer, "schedule": schedule,
        "warmup": 2, "weight_decay": 0.01, "evaluate_every": 3, "validation_limit": 6,
        "save_every": 2,
    }  # fmt: skip
    whole = start(backbone)
    expected = fit(model, whole, tiny_task, **settings)
    prompt, history = continued(
        model, lambda: start(backbone), tiny_task, tmp_path, [1, 2, 6, 13], **settings
    )
    assert torch.equal(prompt(), whole())
    assert outcome(history) == outcome(expected)


def test_a_run_in_random_orders_goes_on_with_the_same_ones(tiny_backbone, tiny_task, tmp_path):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 9, "batch_size": 7, "orders": "random", "save_every": 2}
    whole = start(backbone, 6)
    expected = fit(model, whole, tiny_task, **settings)
    prompt, history = continued(
        model, lambda: start(backbone, 6), tiny_task, tmp_path, [3, 6], **settings
    )
    assert torch.equal(prompt(), whole()) and outcome(history) == outcome(expected)


def test_a_state_from_before_orders_and_losses_could_be_chosen_goes_on(saved):
    file, go_on = saved
    state = torch.load(file, weights_only=True)
    del state["settings"]["orders"], state["settings"]["loss"]
    torch.save(state, file)
    go_on()
    with pytest.raises(LabError, match="orders='trained', now it is 'random'"):
        go_on(orders="random")
    with pytest.raises(LabError, match="loss='classes', now it is 'target'"):
        go_on(loss="target")


def test_a_finished_or_early_stopped_run_continued_is_what_it_was(
    monkeypatch, tiny_backbone, tiny_task, tmp_path
):
    scripted(monkeypatch, [0.5, 0.4, 0.3])
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    settings = {"steps": 20, "evaluate_every": 2, "patience": 1, "checkpoint": tmp_path}
    history = fit(model, prompt, tiny_task, **settings)
    again = start(backbone)
    assert fit(model, again, tiny_task, resume=True, **settings) == history
    assert torch.equal(again(), prompt()) and history.steps == 4 and history.best_step == 2


def test_dropout_of_a_trainable_backbone_goes_on_where_it_was(tiny_folder, tiny_task, tmp_path):
    def fresh():
        backbone = load_backbone(str(tiny_folder("bert")), trainable=True, device="cpu")
        return PromptedModel.for_task(backbone, tiny_task, soft=False)

    settings = {"steps": 6, "batch_size": 6, "evaluate_every": 2, "save_every": 1}
    whole = fresh()
    expected = fit(whole, None, tiny_task, **settings)

    def stop(step, *_):
        if step == 4:
            raise Stopped

    with pytest.raises(Stopped):
        fit(fresh(), None, tiny_task, checkpoint=tmp_path, on_step=stop, **settings)
    model = fresh()
    history = fit(model, None, tiny_task, checkpoint=tmp_path, resume=True, **settings)
    assert outcome(history) == outcome(expected)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), whole.parameters(), strict=True)
    )


KILLED = """
import os, pickle, signal, sys
import torch
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.tuning import fit
from labkit.soft_prompt import SoftPrompt

model_folder, where, checkpoint, task, settings = pickle.load(sys.stdin.buffer)
backbone = load_backbone(model_folder, device="cpu", dtype=torch.float32)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def between_steps(step, *_):
    if step == 7:
        die()

saves, real = [], torch.save
def while_writing(state, file):
    saves.append(file)
    real(state, file)
    if len(saves) == 3:
        os.truncate(file, 500)
        die()

if where == "while writing":
    torch.save = while_writing
fit(
    PromptedModel.for_task(backbone, task), SoftPrompt.from_uniform(backbone, 3, seed=1), task,
    checkpoint=checkpoint, on_step=between_steps if where == "between steps" else None, **settings,
)
"""


def test_a_killed_run_goes_on_to_the_same_bit(tiny_backbone, tiny_folder, tiny_task, tmp_path):
    settings = {"steps": 10, "batch_size": 7, "lr": 0.05, "evaluate_every": 3, "save_every": 2}
    places = ("between steps", "while writing")
    runs = []
    for where in places:
        given = (str(tiny_folder("llama")), where, tmp_path / where, tiny_task, settings)
        run = subprocess.Popen(
            [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        run.stdin.write(pickle.dumps(given))
        run.stdin.close()
        runs.append(run)
    assert [run.wait(timeout=120) for run in runs] == [-signal.SIGKILL] * 2
    backbone = tiny_backbone("llama")
    model, whole = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    expected = fit(model, whole, tiny_task, **settings)
    for where in places:
        saved = torch.load(tmp_path / where / "state.pt", weights_only=True)
        assert len(saved["history"]["losses"]) == {"between steps": 6, "while writing": 4}[where]
        prompt = start(backbone)
        history = fit(
            model, prompt, tiny_task, checkpoint=tmp_path / where, resume=True, **settings
        )
        assert torch.equal(prompt(), whole())
        assert outcome(history) == outcome(expected)


@pytest.fixture
def saved(tiny_backbone, tiny_task, tmp_path):
    """A run's folder, and how to continue it."""
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 4, "batch_size": 6, "checkpoint": tmp_path, "save_every": 2}
    fit(model, start(backbone), tiny_task, **settings)

    def go_on(prompt=None, task=tiny_task, model=model, **changed):
        prompt = prompt or start(backbone)
        return fit(model, prompt, task, resume=True, **(settings | changed))

    return tmp_path / "state.pt", go_on


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "another file", "a byte"])
def test_a_damaged_state_is_refused_and_left_alone(saved, damage):
    file, go_on = saved
    whole = file.read_bytes()
    weights = torch.load(file, weights_only=True)["parameters"][0].numpy().tobytes()
    place = whole.index(weights) + 5
    if damage == "another file":
        torch.save({"weight": torch.zeros(2)}, file)
    else:
        file.write_bytes(
            {
                "empty": b"",
                "cut": whole[:place],
                "garbage": b"not a state at all",
                "a byte": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            }[damage]
        )
    damaged = file.read_bytes()
    with pytest.raises(LabError, match="damaged; delete it"):
        go_on()
    assert file.read_bytes() == damaged
    assert [f.name for f in file.parent.iterdir()] == ["state.pt"]


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 5},
        {"batch_size": 5},
        {"lr": 0.1},
        {"optimizer": "adamw"},
        {"schedule": "linear"},
        {"warmup": 1},
        {"weight_decay": 0.1},
        {"clip": None},
        {"seed": 1},
        {"limit": 12},
        {"orders": "random"},
        {"evaluate_every": 2},
        {"validation_limit": 3},
    ],
)
def test_other_settings_are_refused_and_the_state_left_alone(saved, changed):
    file, go_on = saved
    before = file.read_bytes()
    (name,) = changed
    with pytest.raises(LabError, match=f"was made with {name}="):
        go_on(**changed)
    assert file.read_bytes() == before


def test_another_prompt_task_or_template_is_refused(saved, tiny_backbone, tiny_task):
    file, go_on = saved
    before, backbone = file.read_bytes(), tiny_backbone("llama")
    with pytest.raises(LabError, match="belongs to another prompt"):
        go_on(prompt=start(backbone, 4))
    with pytest.raises(LabError, match="was made with task='tiny'"):
        go_on(task=replace(tiny_task, name="other"))
    model = PromptedModel.for_task(backbone, tiny_task)
    other = PromptedModel(backbone, "{soft}{text} All in all {mask}", model.verbalizer)
    with pytest.raises(LabError, match="was made with template="):
        go_on(model=other)
    assert file.read_bytes() == before


LAYOUTS = {
    "bos": {"bos": "first"},
    "max_length": {"max_length": 40},
    "positions": {"positions": False},
    "verbalizer": {"verbalizer": Verbalizer({"negative": "bad", "positive": "good"})},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_layout_is_refused(saved, tiny_backbone, tiny_task, name):
    file, go_on = saved
    before = file.read_bytes()
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    with pytest.raises(LabError, match=f"was made with {name}="):
        go_on(model=model.with_changes(**LAYOUTS[name]))
    assert file.read_bytes() == before


def test_another_precision_or_other_weights_are_refused(saved, tiny_folder, tiny_task, tmp_path):
    _, go_on = saved
    folder = str(tiny_folder("llama"))
    halved = load_backbone(folder, device="cpu", dtype=torch.bfloat16)
    with pytest.raises(LabError, match="was made with dtype='float32', now it is 'bfloat16'"):
        go_on(model=PromptedModel.for_task(halved, tiny_task))
    backbone = load_backbone(folder, device="cpu", dtype=torch.float32)
    with torch.no_grad():
        next(backbone.model.parameters()).mul_(2)
    other = tmp_path / "tuned" / tiny_folder("llama").name
    backbone.save(str(other))
    tuned = load_backbone(str(other), device="cpu", dtype=torch.float32)
    assert tuned.name == backbone.name
    with pytest.raises(LabError, match="was made with revision="):
        go_on(model=PromptedModel.for_task(tuned, tiny_task))


def test_other_examples_are_refused(saved, tiny_task):
    _, go_on = saved
    flipped = [replace(e, label=1 - e.label) for e in tiny_task.split("train")]
    with pytest.raises(LabError, match=r"was made with examples=.* or delete it"):
        go_on(task=tiny_task.with_splits(train=flipped))


def test_another_frozen_part_of_the_prompt_is_refused(tiny_backbone, tiny_task, tmp_path):
    class Scaled(nn.Module):
        def __init__(self, seed):
            super().__init__()
            frozen = SoftPrompt.from_uniform(tiny_backbone("llama"), 3, seed=seed)
            self.prompt = frozen.requires_grad_(False)
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self):
            return self.factor * self.prompt()

    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    settings = {"steps": 2, "checkpoint": tmp_path, "resume": True}
    fit(model, Scaled(0), tiny_task, **settings)
    fit(model, Scaled(0), tiny_task, **settings)
    with pytest.raises(LabError, match="was made with prompt='Scaled"):
        fit(model, Scaled(1), tiny_task, **settings)


def _sorter(**options):
    return lambda prompt: LSTMSorter(prompt, **options)


def _reads_places(**options):
    return lambda prompt: LSTMSorter(prompt, positions=PositionEnhancement(32, 3, **options))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_sorter(mode="permutation"), _sorter(mode="printed")),
        (_sorter(temperature=1.0), _sorter(temperature=0.5)),
        (_reads_places(absolute=True), _reads_places(absolute=False)),
        (SoftSorter, lambda prompt: SoftSorter(prompt, relaxation="neuralsort")),
        (SinkhornSorter, lambda prompt: SinkhornSorter(prompt, rounds=5)),
    ],
)
def test_a_module_with_other_settings_is_refused(one, other, tiny_backbone, tiny_task, tmp_path):
    """Its free parameters have the same shapes, and what is frozen in it is the same."""
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    prompt = start(tiny_backbone("llama"), 3)
    settings = {"steps": 2, "batch_size": 4, "checkpoint": tmp_path, "resume": True}
    fit(model, one(prompt), tiny_task, **settings)
    fit(model, one(prompt), tiny_task, **settings)
    with pytest.raises(LabError, match="was made with module="):
        fit(model, other(prompt), tiny_task, **settings)


def test_a_run_saved_on_a_gpu_opens_without_one(monkeypatch, tiny_backbone, tiny_task, tmp_path):
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), start(backbone)
    settings = {"steps": 4, "batch_size": 6, "evaluate_every": 2, "save_every": 1}

    def stop(step, *_):
        if step == 3:
            raise Stopped

    with monkeypatch.context() as on_a_gpu:  # the file then says so of every tensor in it
        on_a_gpu.setattr(torch.serialization, "location_tag", lambda _storage: "cuda:0")
        with pytest.raises(Stopped):
            fit(model, prompt, tiny_task, checkpoint=tmp_path, on_step=stop, **settings)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(tmp_path / "state.pt", weights_only=True)
    again, whole = start(backbone), start(backbone)
    fit(model, again, tiny_task, checkpoint=tmp_path, resume=True, **settings)
    fit(model, whole, tiny_task, **settings)
    assert torch.equal(again(), whole())


def test_a_full_disk_leaves_the_last_state_intact(monkeypatch, saved, tiny_backbone, tiny_task):
    file, _ = saved
    before = file.read_bytes()

    def full(state, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    with pytest.raises(LabError, match="No space left on device"):
        fit(model, start(backbone), tiny_task, steps=4, checkpoint=file.parent)
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == ["state.pt"]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": math.nan}, "lr=nan"),
        ({"evaluate_every": 0}, "evaluate_every=0"),
        ({"save_every": 0}, "save_every=0"),
        ({"patience": 0, "evaluate_every": 1}, "patience=0"),
        ({"clip": 0.0}, "clip=0.0"),
        ({"warmup": -1}, "warmup=-1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
        ({"seed": -1}, "seed=-1"),
        ({"limit": 0}, "limit=0"),
        ({"validation_limit": 0, "evaluate_every": 1}, "limit=0"),
        ({"learning_rate": 0.1}, "'learning_rate' is no setting"),
        ({"batchsize": 8}, "did you mean 'batch_size'"),
        ({"optimizer": "sgd"}, "choose one of adam, adamw, adafactor"),
        ({"schedule": "step"}, "choose one of constant, linear, cosine"),
        ({"patience": 2}, "patience needs evaluate_every"),
        ({"resume": True}, "resume needs the checkpoint folder"),
    ],
)
def test_settings_out_of_range(tiny_backbone, tiny_task, settings, says):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    with pytest.raises(LabError, match=says) as caught:
        fit(model, start(backbone), tiny_task, **settings)
    assert "\n" not in str(caught.value)


def test_nothing_to_train(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    with pytest.raises(LabError, match="nothing to train"):
        fit(PromptedModel.for_task(backbone, tiny_task, soft=False), None, tiny_task)
    frozen = start(backbone).requires_grad_(False)
    with pytest.raises(LabError, match="nothing to train"):
        fit(PromptedModel.for_task(backbone, tiny_task), frozen, tiny_task)


def test_a_validation_split_that_is_missing_is_noticed_before_training(tiny_backbone, tiny_task):
    backbone, steps = tiny_backbone("llama"), []
    task = replace(tiny_task, splits={"train": tiny_task.split("train")})
    model = PromptedModel.for_task(backbone, task)
    with pytest.raises(LabError, match="no split 'validation'"):
        fit(model, start(backbone), task, evaluate_every=2, on_step=lambda *_: steps.append(1))
    assert not steps


def test_a_learning_rate_that_blows_up_is_named(tiny_backbone, tiny_task):
    backbone = tiny_backbone("bert")
    model = PromptedModel.for_task(backbone, tiny_task)
    with pytest.raises(LabError, match="learning rate"):
        fit(model, start(backbone), tiny_task, steps=5, lr=1e30)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bert-encoder"])
def test_a_model_that_was_scored_before_can_be_trained(family, tiny_folder, tiny_task):
    """Scoring leaves nothing behind (cached label vectors, say) that training can't use."""
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float32)
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_vocab(backbone, length=2)
    evaluate(model, prompt, tiny_task)
    start = prompt().detach().clone()
    fit(model, prompt, tiny_task, steps=1, batch_size=4)
    assert not torch.equal(prompt(), start)
