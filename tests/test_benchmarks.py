"""The benchmark compares like with like; how fast anything is, is not tested here."""

from __future__ import annotations

import json

import pytest
import torch

from conftest import ROOT
from labkit import benchmarks
from labkit.benchmarks import document, session
from labkit.core import devices
from labkit.core.errors import LabError
from labkit.core.files import with_region, write_text


@pytest.fixture(autouse=True)
def tiny_task_for_all(monkeypatch, tiny_task):
    monkeypatch.setattr(benchmarks, "load_task", lambda name: tiny_task)
    # one answer of twelve may flip in bf16, which the benchmark refuses; on real text it is fewer
    monkeypatch.setattr(benchmarks, "fast_dtype", lambda device: torch.float32)


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_both_score_the_same_and_every_figure_is_there(family, tiny_folder):
    result = benchmarks.bench_evaluate(str(tiny_folder(family)), length=3, limit=12, rounds=1)
    assert result["agreement"]["fp32"] == 1.0
    for name in ("labkit_s", "peft_s", "peft_tuned_s", "ratio", "ratio_tuned", "gemm_fraction"):
        assert result[name] > 0
    assert result["ratio"] == pytest.approx(result["peft_s"] / result["labkit_s"])


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_training_is_timed_for_all_three_and_changes_no_weight(family, tiny_folder):
    result = benchmarks.bench_tune(str(tiny_folder(family)), length=3, steps=1, rounds=1)
    assert result["labkit_steps_per_s"] == pytest.approx(1 / result["labkit_s"])
    assert result["peft_s"] > 0 and result["peft_tuned_s"] > 0


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_all_score_the_same_orders(family, tiny_folder):
    result = benchmarks.bench_probe(str(tiny_folder(family)), length=4, limit=12, rounds=1)
    assert result["agreement"] == 1.0
    assert result["labkit_per_s"] == pytest.approx(2 / result["labkit_s"])
    for name in ("orders", "examples"):
        assert result[f"time_ratio_twice_the_{name}"] > 0
    assert result["memory_ratio_twice_the_orders"] < 1.1


def test_a_disagreement_is_an_error_not_a_ratio():
    reference = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    wrong = reference.flip(1)
    with pytest.raises(AssertionError, match="fp32"):
        benchmarks._check_agreement(wrong, reference, reference)
    with pytest.raises(AssertionError, match="fast precision"):
        benchmarks._check_agreement(reference, wrong, reference)
    benchmarks._check_agreement(reference, reference, reference)


def test_a_readout_that_peft_lacks_is_refused(tiny_folder):
    with pytest.raises(LabError, match="mlm readout"):
        benchmarks.bench_evaluate(str(tiny_folder("bert")), length=3, limit=4)


def test_peft_scores_the_same_in_larger_batches(tiny_folder, tiny_task):
    """As on a GPU."""
    examples = tiny_task.take("test", 12)
    arena = benchmarks._Arena(str(tiny_folder("llama")), 3, examples, "cpu")
    small = arena.peft_tuned.scores()
    arena.peft_tuned.scoring_batch = 5
    assert torch.allclose(arena.peft_tuned.scores(), small, atol=1e-5)
    assert arena.about()["peft_tuned_scoring_batch"] == 5


# ---- everything once ----


def test_what_is_in_the_folder_is_not_measured_again(monkeypatch, tmp_path):
    asked = []

    def bench(verb):
        def measure(length, device, **more):
            asked.append((verb, length, device, *more.values()))
            if (verb, length) == ("tune", 20) and len(asked) < 9:
                raise KeyboardInterrupt
            return {"ratio": length / 10}

        return measure

    for verb in ("evaluate", "probe", "tune"):
        monkeypatch.setattr(benchmarks, f"bench_{verb}", bench(verb))
    monkeypatch.setattr(
        session, "agreement", lambda name, device: asked.append((name, device)) or {"of": name}
    )
    with pytest.raises(KeyboardInterrupt):
        session.bench_all(tmp_path / "out", "cpu")
    assert asked[-1] == ("tune", 20, "cpu")
    before = list(asked)
    asked += [()] * 9
    results = session.bench_all(tmp_path / "out", "cpu")
    again = asked[len(before) + 9 :]
    assert again[0] == ("tune", 20, "cpu") and not set(again[1:]) & set(before)
    assert results["probe-100"] == {"ratio": 10.0}
    assert {results[f"agreement-{name}"]["of"] for name in session.MODELS} == set(session.MODELS)
    assert ("evaluate", 100, "cpu", "minilm") in asked


def test_a_part_that_fails_keeps_no_other_from_being_measured(monkeypatch, tmp_path):
    def measure(length, device, **more):
        if length == 20:
            raise AssertionError("labkit and PEFT disagree in fp32: one of them is wrong")
        return {"ratio": 2.0}

    for verb in ("evaluate", "probe", "tune"):
        monkeypatch.setattr(benchmarks, f"bench_{verb}", measure)
    monkeypatch.setattr(session, "agreement", lambda name, device: {"of": name})
    first = session.bench_all(tmp_path, "cpu")
    assert first["evaluate-20"]["failed"].startswith("AssertionError: labkit and PEFT disagree")
    assert first["tune-100"] == {"ratio": 2.0}
    assert not (tmp_path / "evaluate-20.json").exists()
    assert "Traceback" in (tmp_path / session.ERRORS).read_text(encoding="utf-8")
    for verb in ("evaluate", "probe", "tune"):
        monkeypatch.setattr(benchmarks, f"bench_{verb}", lambda **asked: {"ratio": 3.0})
    second = session.bench_all(tmp_path, "cpu")
    assert second["evaluate-20"] == {"ratio": 3.0} and second["tune-100"] == {"ratio": 2.0}
    (tmp_path / "tune-100.json").write_text('{"ratio"')
    with pytest.raises(LabError, match=r"tune-100\.json is damaged .* delete it"):
        session.bench_all(tmp_path, "cpu")


PART = {
    "backbone": "smollm2", "length": 20, "batch_size": 16, "device": "cuda:0 (Fast 1)",
    "dtype": "bfloat16", "sentences": 1024, "labkit_s": 0.2354, "ratio": 8.696,
    "ratio_tuned": 1.4962, "gemm_fraction": 0.0436, "gemm_rate_gflops": 576935.9,
}  # fmt: skip


def test_a_table_has_a_line_for_what_was_measured_and_for_nothing_else(tmp_path):
    tune = {key: value for key, value in PART.items() if not key.startswith("gemm")}
    off = {"backbone": "minilm", "device": "cuda:0 (Fast 1)", "sentences": 64}
    off |= {"largest_difference": 5.722e-6, "same_predictions": 1.0}
    for file, part in {
        "gpu/evaluate-20": PART,
        "float32/tune-100": tune | {"device": "cpu", "dtype": "float32", "steps": 8},
        "gpu/agreement-minilm": off,
        "float32/agreement-minilm": off | {"device": "cpu"},
        "elsewhere/evaluate-20": PART,
    }.items():
        write_text(tmp_path / f"{file}.json", json.dumps(part))
    assert document.races(tmp_path)[2:] == [
        "| CPU, fp32 | smollm2 | 20 | 8 training steps of 16 | 0.235 | 8.7 × | 1.5 × | – |",
        "| Fast 1, bf16 | smollm2 | 20 | score 1,024 sentences | 0.235 | 8.7 × | 1.5 × | "
        "4.4 % of 577 TFLOP/s |",
    ]
    assert document.agreements(tmp_path)[2:] == ["| Fast 1 | minilm | 5.7e-06 | 100 % of 64 |"]


@pytest.mark.parametrize("name", document.PAGES)
def test_the_pages_show_what_was_measured(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert document.page(ROOT, name) == text, "run `python -m labkit.benchmarks.document`"


def test_a_page_without_its_marks_is_not_written_over():
    with pytest.raises(LabError, match="lost its marks <!-- a --> and <!-- b -->"):
        with_region("text <!-- b -->", "<!-- a -->", "<!-- b -->", ["line"])


def test_a_device_that_is_not_here_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(LabError, match="no device 'nowhere'"):
        session.bench_all(tmp_path, "nowhere")


def test_the_device_that_is_timed_is_the_one_that_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for name in ("cpu", "cuda:1"):
        device = torch.device(name)
        benchmarks._race({"labkit_s": lambda: None}, 1, None, device)
    assert waited == [torch.device("cuda:1")] * 2


def test_a_gpu_is_named_as_what_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Fast {device.index}")
    assert devices.called(torch.device("cuda:1")) == "cuda:1 (Fast 1)"
    assert devices.called(torch.device("cpu")) == "cpu"
