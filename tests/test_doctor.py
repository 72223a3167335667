"""`labkit doctor`: a healthy machine passes, and each ailment is found and gets its remedy."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from labkit import cli, doctor
from labkit.core import assets


@pytest.fixture
def whole_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "verify", lambda: dict.fromkeys(assets.ASSETS, "ok"))
    monkeypatch.setattr(assets, "is_ready", lambda asset: True)


@pytest.fixture
def cpu_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor, "has_nvidia_gpu", lambda: False)


def run_doctor(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *options])
    return ended.value.code, capsys.readouterr().out


# ---------------------------------------------------------------------------------------- the verb


@pytest.mark.usefixtures("whole_assets", "cpu_torch")
def test_environment_of_the_tests_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run_doctor(capsys)
    assert [line for line in out.splitlines() if not line.startswith("[ok] ")] == []
    assert code == 0
    names = [line.removeprefix("[ok] ").split(":")[0] for line in out.splitlines()]
    assert names == list(doctor.CHECKS)


@pytest.mark.usefixtures("cpu_torch")
def test_what_fails_is_told_with_its_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    code, out = run_doctor(capsys)
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("[fail]")]
    assert line.startswith("[fail] assets: smollm2 missing")
    assert "`labkit assets fetch`" in line
    code, out = run_doctor(capsys, "--json")
    result = json.loads(out)
    assert (code, result["ok"]) == (1, False)
    assert [check["name"] for check in result["checks"] if not check["ok"]] == ["assets"]


def test_check_that_breaks_down_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Check:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(doctor, "CHECKS", {"device": broken})
    (check,) = doctor.examine()
    assert not check.ok
    assert "libcudart" in check.found
    assert "pip install" in check.fix


# ---------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("version", ["2.5.1", "3.0.0"])
def test_version_outside_the_range(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    check = doctor.check_package("torch")
    assert (check.ok, check.found) == (False, version)
    assert "torch" in check.fix
    assert ">=2.6" in check.fix


def test_local_build_of_a_good_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cu130")
    assert doctor.check_package("torch").ok


def test_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.version

    def version(name: str) -> str:
        if name == "seaborn":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    check = doctor.check_packages()
    assert (check.ok, check.found) == (False, "seaborn not installed")
    assert 'pip install "seaborn' in check.fix


def test_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.10.14")
    check = doctor.check_python()
    assert (check.ok, check.found) == (False, "3.10.14")
    assert ">=3.11" in check.fix


# ------------------------------------------------------------------------------------------ device


@pytest.mark.usefixtures("cpu_torch")
def test_cpu_torch_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_device().ok
    monkeypatch.setattr(doctor, "has_nvidia_gpu", lambda: True)
    check = doctor.check_device()
    assert not check.ok
    assert "for CPUs only" in check.fix
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver does not serve CUDA 13.0" in doctor.check_device().fix


@pytest.mark.usefixtures("cpu_torch")
def test_device_and_precision_are_told() -> None:
    assert doctor.check_device().found.startswith("cpu (")
    assert "float" in doctor.check_device().found


# ----------------------------------------------------------------------------- cache, disk, Jupyter


def test_read_only_cache_is_fine_once_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")  # below a file nobody can write, root included
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file/cache"))
    check = doctor.check_cache()
    assert not check.ok
    assert "not writable" in check.found
    assert "LABKIT_CACHE" in check.fix
    monkeypatch.setattr(assets, "verify", lambda: dict.fromkeys(assets.ASSETS, "ok"))
    assert doctor.check_cache().ok


def test_cache_that_does_not_exist_yet_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "a/b"))
    assert doctor.check_cache().ok
    assert doctor.check_disk().name == "disk"
    assert list(tmp_path.iterdir()) == []


def test_disk_needs_room_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    usage = type(doctor.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage(10**9, 0, 3 * 10**8))
    check = doctor.check_disk()
    assert not check.ok
    assert "make room for 0.9 GB" in check.fix
    monkeypatch.setattr(assets, "is_ready", lambda asset: True)
    assert doctor.check_disk().ok


def test_widgets_without_their_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_widgets().ok

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    check = doctor.check_widgets()
    assert not check.ok
    assert "jupyterlab_widgets" in check.found


@pytest.mark.parametrize(
    ("program", "ok"),
    [("python", True), (sys.executable, True), ("/opt/other/bin/python3", False), ("R", False)],
)
def test_kernel_of_another_environment(
    program: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    spec = {"argv": [program, "-m", "x"], "display_name": "Python 3", "language": "python"}
    kernel.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    check = doctor.check_kernel()
    assert (check.ok, program in check.found) == (ok, True)
    assert "ipykernel install" in check.fix
