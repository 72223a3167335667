"""The benchmark compares like with like; how fast anything is, is not tested here."""

from __future__ import annotations

import pytest
import torch

from labkit import benchmarks
from labkit.benchmarks import session
from labkit.core import devices
from labkit.core.errors import LabError


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


# ---- everything once ----


def test_what_is_in_the_folder_is_not_measured_again(monkeypatch, tmp_path):
    asked = []

    def bench(verb):
        def measure(length, device):
            asked.append((verb, length, device))
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


def test_a_part_that_fails_keeps_no_other_from_being_measured(monkeypatch, tmp_path):
    def measure(length, device):
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
        monkeypatch.setattr(benchmarks, f"bench_{verb}", lambda length, device: {"ratio": 3.0})
    second = session.bench_all(tmp_path, "cpu")
    assert second["evaluate-20"] == {"ratio": 3.0} and second["tune-100"] == {"ratio": 2.0}


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
