"""The benchmark compares like with like; how fast anything is, is not tested here."""

from __future__ import annotations

import json

import pytest
import torch

from conftest import ROOT
from labkit import benchmarks
from labkit.benchmarks import document, session
from labkit.core.errors import LabError
from labkit.core.files import write_text


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
        def measure(backbone, length, device):
            asked.append((verb, length, device, backbone))
            if (verb, length) == ("tune", 20) and len(asked) < 20:
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
    assert asked[-1] == ("tune", 20, "cpu", "smollm2")
    before = list(asked)
    asked += [()] * 20
    results = session.bench_all(tmp_path / "out", "cpu")
    again = asked[len(before) + 20 :]
    assert again[0] == asked[len(before) - 1] and not set(again[1:]) & set(before)
    assert results["probe-smollm2-100"] == {"ratio": 10.0}
    assert {results[f"agreement-{name}"]["of"] for name in session.MODELS} == set(session.MODELS)


def test_the_page_says_what_was_measured(tmp_path):
    """Of a small folder, and of the project's own."""
    file = tmp_path / document.MEASURED / "float32/evaluate-smollm2-20.json"
    file.parent.mkdir(parents=True)
    with pytest.raises(LabError, match=r"evaluate-smollm2-20\.json is missing: LABKIT_DTYPE="):
        document.table(tmp_path / document.MEASURED)
    found = {"backbone": "smollm2", "length": 20, "labkit_s": 1.239, "ratio": 4.04}
    found |= {"ratio_tuned": 1.5, "sentences": 128, "permutations": 2, "steps": 8}
    found |= {"batch_size": 16, "gemm_fraction": 0.713}
    for precision in document.PRECISIONS:
        for name in session.RACES:
            write_text(file.parent.with_name(precision) / f"{name}.json", json.dumps(found))
    lines = document.table(tmp_path / document.MEASURED).splitlines()
    assert len(lines) == 2 + 2 * len(session.RACES)
    assert lines[2] == (
        "| smollm2 | 20 | score 128 sentences | bf16 | 1.24 | 4.0 × | 1.50 × | 71 % |"
    )
    page = (ROOT / document.PAGE).read_text("utf-8")
    assert document.table(ROOT / document.MEASURED) in page
