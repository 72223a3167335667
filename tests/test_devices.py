"""Public paths on a pretended accelerator: no tensor is left behind on the CPU.

What is scored there is what is scored on the CPU.
"""

from __future__ import annotations

import pytest
import torch

import test_cross_model
from accelerator import pretended, there, waits
from labkit import benchmarks, experiments
from labkit.benchmarks import session
from labkit.core import proofs
from labkit.core.attention import use_fused_kernel
from labkit.core.budget import batch_tokens
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.scoring import Scorer, scores_under_each
from labkit.core.tuning import fit
from labkit.experiments.base import models
from labkit.lstm_sorter import PromptLoss, find_order
from labkit.p_tuning import PromptEncoder
from labkit.prompt_transfer import ProjectedPrompt
from labkit.prompt_transfer.connectivity import losses_along, matched
from labkit.shuffle_probe import Shuffle, incomplete_design, probe_order
from labkit.shuffle_probe.incomplete import design_losses
from labkit.shuffle_probe.patching import Reader
from labkit.soft_prompt import SoftPrompt, WaywardPrompt, load_for, nearest_tokens, save_prompt
from labkit.soft_prompt.pruning import missed

READOUTS = ("bert", "llama", "t5", "bert-encoder")


@pytest.fixture(params=READOUTS)
def backbone(request, tiny_folder):
    """Loaded on the CPU, because the library takes the device's name for "no numbers yet"."""
    return load_backbone(str(tiny_folder(request.param)), device="cpu", dtype=torch.float32)


def test_every_path_stays_on_the_device(backbone, tiny_task, tmp_path):
    use_fused_kernel(backbone.model)
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_vocab(backbone, 4)
    examples = tiny_task.split("test")
    there = {positions: None for positions in (True, False, "set")}
    here = {p: model.with_changes(positions=p).scores(prompt, examples) for p in there}
    with pretended() as device:
        backbone.to(device)
        proofs.settle(backbone)
        model = PromptedModel.for_task(backbone, tiny_task)
        for positions in there:
            other = model.with_changes(positions=positions)
            there[positions] = other.scores(prompt, examples)
        assert evaluate(model, prompt, tiny_task).n == len(examples)
        answers = [("good", "bad")] * len(examples)
        assert model.scores(prompt, examples, answers).shape == (len(examples), 2)
        start = prompt().detach().clone()
        fit(model, prompt, tiny_task, steps=2, evaluate_every=1, orders="random")
        assert not torch.equal(prompt(), start)
        probe_order(model, prompt, tiny_task, Shuffle().draw(4, 3, 0), "test", limit=8)
        nearest_tokens(backbone, prompt(), 2)
        save_prompt(tmp_path / "prompt", prompt, model)
        load_for(backbone, tmp_path / "prompt")
    for positions in there:
        torch.testing.assert_close(there[positions], here[positions], rtol=1e-6, atol=1e-5)


LOOKS_AT_MASKS = {"causal": 0, "mlm": 1, "encoder": 1, "seq2seq": 3}
"""How often transformers itself waits in a batch of two label words, to see whether a mask hides
anything: for each forward pass of an encoder or a decoder."""


def test_no_batch_waits_for_the_one_before(backbone, tiny_task):
    """Scores come back once, and what a batch needs is there before it begins."""
    use_fused_kernel(backbone.model)
    examples = tiny_task.split("test")
    with pretended() as device:
        backbone.to(device)
        model = PromptedModel.for_task(backbone, tiny_task)
        vectors = model.fixed_vectors(SoftPrompt.from_vocab(backbone, 4))
        sequences, labels = model.encode(examples, vectors), model.labels()
        prompts, prefix = torch.stack([vectors, vectors.flip(0)]), backbone.prefix_of(sequences)
        chosen = [index % 2 for index in range(len(sequences))]

        def scored(tokens):
            """Batches, and waits of scoring under one prompt and under two."""
            with batch_tokens(tokens):
                scorer = Scorer(backbone, sequences, labels)
                scorer(vectors)  # what is kept between calls is made now
                with waits() as one:
                    scorer(vectors)
                with waits() as two:
                    scores_under_each(backbone, sequences, prompts, chosen, labels, prefix)
            return len(scorer.batches), one.total(), two.total()

        (few, *at_once), (many, *in_parts) = scored(4000), scored(60)
    assert few == 1 and many >= 3
    for once, parts in zip(at_once, in_parts, strict=True):
        assert parts - once <= (many - 1) * LOOKS_AT_MASKS[backbone.readout]


def test_a_step_waits_for_its_loss_and_its_gradient(backbone, tiny_task):
    use_fused_kernel(backbone.model)
    with pretended() as device:
        backbone.to(device)
        model = PromptedModel.for_task(backbone, tiny_task)
        prompt = SoftPrompt.from_vocab(backbone, 4)
        fit(model, prompt, tiny_task, steps=1)
        counts = []
        for steps in (1, 5):
            with waits() as counted:
                fit(model, prompt, tiny_task, steps=steps, batch_size=4)
            counts.append(counted.total())
    looks = max(LOOKS_AT_MASKS[backbone.readout], 1)  # a causal model's prefix has no cache yet
    assert counts[1] - counts[0] <= 4 * (2 + looks)


def test_prompts_that_are_taken_apart(backbone, tiny_task):
    examples = tiny_task.split("test")[:4]
    with pretended() as device:
        backbone.to(device)
        model = PromptedModel.for_task(backbone, tiny_task)
        prompt = WaywardPrompt(backbone, "a slow film", 4)
        fit(model.with_changes(positions="set"), prompt, tiny_task, steps=1)
        vectors = model.fixed_vectors(prompt)
        for how in ("left out", "mean", "gradient"):
            assert missed(model, prompt, tiny_task, examples, how).shape == (4,)
        moved = vectors[[1, 0, 3, 2]]
        assert matched(vectors, moved) == [1, 0, 3, 2]
        assert losses_along(model, vectors, moved, tiny_task, examples).shape == (5, 4)
        design = incomplete_design(Shuffle(), 4, 8, per_sentence=1, per_order=4)
        assert len(design_losses(model, prompt, tiny_task, design)[0]) == 8
        if backbone.readout == "causal":
            reader = Reader.of(model, prompt, tiny_task, examples)
            whole, other = reader.read(vectors), reader.read(moved)
            assert reader.losses(reader.patched(other, whole, [1], [0, 2])).shape == (4,)


def test_prompts_that_are_computed_and_searched_for(backbone, tiny_task):
    with pretended() as device:
        backbone.to(device)
        model = PromptedModel.for_task(backbone, tiny_task)
        prompt = SoftPrompt.from_vocab(backbone, 4)
        encoder = PromptEncoder(prompt(), width=8)
        projected = ProjectedPrompt(torch.randn(3, 16), backbone, width=8)
        for computed in (encoder, projected):
            fit(model, computed, tiny_task, steps=1)
        objective = PromptLoss(model, prompt, tiny_task, sentences=4, batch_size=4)
        for method in ("swap", "plackett-luce"):
            found = find_order(objective, method, budget=100)
            assert sorted(found.order) == [0, 1, 2, 3]


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_every_benchmark_runs(family, tiny_folder, tiny_task, monkeypatch):
    folder = str(tiny_folder(family))
    monkeypatch.setattr(benchmarks, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(benchmarks, "fast_dtype", lambda device: torch.float32)
    monkeypatch.setattr(benchmarks, "load_backbone", there(load_backbone))
    with pretended() as device:
        scored = benchmarks.bench_evaluate(folder, length=3, limit=12, rounds=1)
        trained = benchmarks.bench_tune(folder, length=3, steps=1, rounds=1)
        probed = benchmarks.bench_probe(folder, length=3, limit=12, rounds=1)
    assert {result["device"] for result in (scored, trained, probed)} == {str(device)}
    assert scored["agreement"]["fp32"] == probed["agreement"] == 1.0


@pytest.mark.parametrize("family", READOUTS)
def test_scores_there_are_held_against_those_here(family, tiny_folder, tiny_task, monkeypatch):
    monkeypatch.setattr(session, "load_task", lambda name: tiny_task)
    on_device = there(load_backbone)

    def load(name, *, device, dtype):
        chosen = load_backbone if device == "cpu" else on_device
        return chosen(name, device=device, dtype=dtype)

    monkeypatch.setattr(session, "load_backbone", load)
    with pretended() as device:
        result = session.agreement(str(tiny_folder(family)), str(device), length=4, limit=8)
    assert result["device"] == str(device)
    assert result["largest_difference"] <= 1e-4 and result["same_predictions"] == 1


quick = test_cross_model.quick


def test_prompts_of_another_model_are_read(quick, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load_backbone", there(load_backbone))
    models.shared_backbone.cache_clear()
    with pretended() as device:
        experiments.run("transfer", backbone=quick, seeds=(0,), out=tmp_path)
        llama = str(tiny_folder("llama"))
        rows = experiments.run("cross-model", backbone=llama, seeds=(0,), out=tmp_path)["rows"]
    models.shared_backbone.cache_clear()
    assert rows and {row["device"] for row in rows} == {str(device)}
