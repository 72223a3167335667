"""The budget of a batch: what it counts, how it is set, and what happens when memory runs out."""

from __future__ import annotations

import pytest
import torch

from accelerator import pretended
from labkit.core import budget, scoring
from labkit.core.attention import use_fused_kernel
from labkit.core.budget import Budget, batch_tokens, budget_for
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.scoring import Scorer, length_batches
from labkit.core.tuning import fit
from labkit.soft_prompt import SoftPrompt

CPU = torch.device("cpu")


def rows_of(backbone, task, length=20):
    """Model, prompt and scorer of the tiny task under ``length`` virtual tokens."""
    model = PromptedModel.for_task(backbone, task)
    vectors = SoftPrompt.from_uniform(backbone, length)().detach()
    return Scorer(backbone, model.encode(task.split("test"), vectors), model.labels()), vectors


def test_every_row_holds_the_prefix():
    lengths = [5] * 12
    batches = list(length_batches(lengths, Budget(computed=1000, held=100), prefix=20))
    assert [len(rows) for rows in batches] == [4, 4, 4]  # 4 · (5 + 20) = 100
    assert [len(rows) for rows in length_batches(lengths, 30)] == [6, 6]


def test_sequences_of_one_length_only():
    batches = list(length_batches([3, 5, 3, 4, 5], 1000, equal=True))
    assert batches == [[0, 2], [3], [1, 4]]


def test_a_chosen_budget_bounds_what_a_batch_holds(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    for tokens in (60, 200):
        with batch_tokens(tokens):
            scorer, _ = rows_of(backbone, tiny_task)
        assert len(scorer.prefix) >= 20
        for rows, batch in scorer.batches:
            held = len(rows) * (batch.ids.shape[1] + len(scorer.prefix))
            assert held <= tokens or len(rows) == 1
    assert budget_for(CPU) == budget.CPU  # as before, behind the block


def test_a_budget_has_at_least_one_token():
    with pytest.raises(LabError, match="--batch-tokens 0"), batch_tokens(0):
        pass


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
)
"""What torch, the driver, CUDA's libraries and the CPU's allocator say."""


def out_of_memory_above(monkeypatch, most: int, error=OUT_OF_MEMORY[0]) -> list[int]:
    """A device that holds ``most`` rows; returns the sizes of the batches that it took."""
    taken, real = [], scoring._batch_scores

    def scores(backbone, batch, *more):
        if len(batch.ids) > most:
            raise error
        taken.append(len(batch.ids))
        return real(backbone, batch, *more)

    monkeypatch.setattr(scoring, "_batch_scores", scores)
    return taken


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_running_out_of_memory_halves_the_budget_and_goes_on(
    monkeypatch, capsys, tiny_backbone, tiny_task, error
):
    scorer, vectors = rows_of(tiny_backbone("llama"), tiny_task)
    whole, seen = scorer(vectors), []
    taken = out_of_memory_above(monkeypatch, 3, error)
    with batch_tokens(2_000):
        scorer, vectors = rows_of(tiny_backbone("llama"), tiny_task)
        again = scorer(vectors, lambda done, total: seen.append((done, total)))
        before = len(taken)
        third = scorer(vectors)  # what was learnt is not learnt again
    torch.testing.assert_close(again, whole, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(third, whole, rtol=1e-6, atol=1e-5)
    assert sum(taken[:before]) == len(whole) == seen[-1][0]
    assert capsys.readouterr().err.count("--batch-tokens") == 1


def test_a_single_text_that_is_too_large_is_an_error(monkeypatch, capsys, tiny_backbone, tiny_task):
    scorer, vectors = rows_of(tiny_backbone("llama"), tiny_task)
    out_of_memory_above(monkeypatch, 0)
    with batch_tokens(64), pytest.raises(LabError, match="single text"):
        scorer(vectors)
    capsys.readouterr()


def test_scores_that_are_not_numbers_are_an_error(monkeypatch, tiny_backbone, tiny_task):
    scorer, vectors = rows_of(tiny_backbone("llama"), tiny_task)
    real = scoring._batch_scores
    for broken in (torch.nan, torch.inf, -torch.inf):
        monkeypatch.setattr(scoring, "_batch_scores", lambda *a, b=broken: real(*a) * 0 + b)
        with pytest.raises(LabError, match="NaN or infinite scores in float32"):
            scorer(vectors)


def test_training_goes_on_in_smaller_parts(monkeypatch, capsys, tiny_backbone, tiny_task):
    """The same losses, though the first step finds no room for its batch."""
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 3, "batch_size": 8, "lr": 1e-2}
    whole = fit(model, SoftPrompt.from_vocab(backbone, 8), tiny_task, **settings).losses
    out_of_memory_above(monkeypatch, 2)
    with batch_tokens(1_000):
        parts = fit(model, SoftPrompt.from_vocab(backbone, 8), tiny_task, **settings).losses
    assert parts == pytest.approx(whole, rel=1e-5)
    assert capsys.readouterr().err.count("--batch-tokens") == 1


def test_parts_that_are_computed_again_have_the_same_gradient(tiny_folder, tiny_task):
    """On a device, several parts of a batch are not kept in memory at once."""
    backbone = load_backbone(str(tiny_folder("llama")), device="cpu", dtype=torch.float32)
    use_fused_kernel(backbone.model)
    model = PromptedModel.for_task(backbone, tiny_task)
    settings = {"steps": 2, "batch_size": 8, "lr": 1e-2}
    whole = fit(model, SoftPrompt.from_vocab(backbone, 8), tiny_task, **settings).losses
    with pretended() as device, batch_tokens(60):
        backbone.to(device)
        parts = fit(model, SoftPrompt.from_vocab(backbone, 8), tiny_task, **settings).losses
    assert parts == pytest.approx(whole, rel=1e-5)
