"""Fingerprints: equal for equal weights, other for other ones, whatever the folder is called."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from labkit.core import fingerprints
from labkit.core.fingerprints import known_revision, weights_fingerprint
from labkit.core.loading import load_backbone


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder("llama"), tmp_path / "a" / "checkpoint-500")


def change_one_number(file):
    tensors = load_file(file)
    name = next(iter(tensors))
    tensors[name].view(-1)[-1] += 1
    save_file(tensors, file, metadata={"format": "pt"})


def test_a_copy_under_another_name_is_the_same_model(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "renamed")
    assert weights_fingerprint(copy) == weights_fingerprint(folder)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    other_version = config | {"transformers_version": "9.9", "_name_or_path": "elsewhere"}
    (copy / "config.json").write_text(json.dumps(other_version))
    assert weights_fingerprint(copy) == weights_fingerprint(folder)
    assert load_backbone(str(copy), device="cpu").revision == known_revision(str(folder))


@pytest.mark.parametrize("large", [False, True])
def test_one_number_more_is_another_model(folder, tmp_path, monkeypatch, large):
    if large:  # the sums of large files are remembered
        monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(fingerprints, "LARGE", 1)
    before = weights_fingerprint(folder)
    assert weights_fingerprint(folder) == before
    change_one_number(folder / "model.safetensors")
    assert weights_fingerprint(folder) != before


def test_another_configuration_is_another_model(folder):
    before = weights_fingerprint(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert weights_fingerprint(folder) != before


def test_a_large_file_is_read_once(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "LARGE", 1)
    before = weights_fingerprint(folder)
    monkeypatch.setattr(fingerprints, "_sha256", None)  # would fail if it were read again
    assert weights_fingerprint(folder) == before
    monkeypatch.undo()


def test_notes_that_are_damaged_only_cost_time(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "LARGE", 1)
    before = weights_fingerprint(folder)
    (tmp_path / "cache" / "fingerprints.json").write_text("[half")
    assert weights_fingerprint(folder) == before


def test_checkpoints_in_torchs_own_format_are_told_apart(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    for place, shift in ((folder, 0.0), (other, 1.0)):
        tensors = load_file(place / "model.safetensors")
        (place / "model.safetensors").unlink()
        torch.save({k: v + shift for k, v in tensors.items()}, place / "pytorch_model.bin")
    assert weights_fingerprint(folder) != weights_fingerprint(other)
