"""`labkit doctor`: a healthy machine passes, and each ailment is found and gets its remedy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

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


@pytest.fixture
def closed_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package index where nobody listens: the port is bound, and so nobody else's either."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("NO_PROXY", "*")
        yield address


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


@pytest.mark.usefixtures("cpu_torch", "closed_index")
def test_what_fails_is_told_with_its_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    code, out = run_doctor(capsys)
    assert code == 1
    missing, cut_off = [line for line in out.splitlines() if line.startswith("[fail]")]
    assert missing.startswith("[fail] assets: smollm2 missing")
    assert "`labkit assets fetch`" in missing
    assert cut_off.startswith("[fail] network: smollm2 can't be fetched")
    code, out = run_doctor(capsys, "--json")
    result = json.loads(out)
    assert (code, result["ok"]) == (1, False)
    assert [check["name"] for check in result["checks"] if not check["ok"]] == ["assets", "network"]


def test_check_that_breaks_down_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Check:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(doctor, "CHECKS", {"device": broken})
    (check,) = doctor.examine()
    assert not check.ok
    assert "libcudart" in check.found
    assert "pip install" in check.fix


# ---------------------------------------------------------------------------------------- versions


@pytest.mark.skipif(os.name == "nt", reason="makes links, which Windows asks privileges for")
def test_environment_without_torch(tmp_path: Path) -> None:
    """The same packages, torch left out, in a Python that sees no others."""
    here = Path(sysconfig.get_paths()["purelib"])
    for entry in here.iterdir():
        if entry.name.partition("-")[0] not in ("torch", "torchgen", "functorch"):
            (tmp_path / entry.name).symlink_to(entry)
    path = os.pathsep.join([str(Path(doctor.__file__).parents[1]), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-S", "-m", "labkit", "doctor", "--json"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert list(checks) == list(doctor.CHECKS)
    assert {"torch", "device"} <= {name for name, check in checks.items() if not check["ok"]}
    assert checks["torch"]["found"] == "not installed"
    assert 'pip install "torch' in checks["torch"]["fix"]


@pytest.mark.parametrize("version", ["2.5.1", "3.0.0"])
def test_version_outside_the_range(
    version: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    check = doctor.check_package("torch")
    assert (check.ok, check.found) == (False, version)
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    (admitted,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "torch")
    named = Requirement(check.fix.partition('"')[2].rstrip('"'))
    assert (named.name, named.specifier) == ("torch", admitted.specifier)


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


@pytest.mark.skipif(torch.version.cuda is not None, reason="a torch for GPUs is installed")
@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for the driver's program")
def test_gpu_is_noticed_by_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_device()
    assert not check.ok
    assert "for CPUs only" in check.fix and "pytorch.org" in check.fix


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


def test_disk_with_too_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_disk().ok
    monkeypatch.setattr(doctor, "SPARE_BYTES", 10**18)  # more than any disk has
    check = doctor.check_disk()
    assert not check.ok
    assert "LABKIT_CACHE to another disk" in check.fix


def test_disk_needs_room_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    usage = type(doctor.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage(10**9, 0, 3 * 10**8))
    check = doctor.check_disk()
    assert not check.ok
    assert "make room for 1.2 GB" in check.fix
    monkeypatch.setattr(assets, "is_ready", lambda asset: True)
    assert doctor.check_disk().ok


@pytest.mark.usefixtures("closed_index")
def test_first_set_up_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "CHECKS", {"network": doctor.check_network})
    (check,) = doctor.examine()
    assert not check.ok
    assert os.environ["PIP_INDEX_URL"] in check.found
    assert check.fix.startswith("check the network or set PIP_INDEX_URL")


def test_index_that_is_silent_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(doctor, "NETWORK_PATIENCE_S", 0.2)
    monkeypatch.setattr(doctor, "CHECKS", {"network": doctor.check_network})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and never answers
        port = silent.getsockname()[1]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        (check,) = doctor.examine()
    assert not check.ok
    assert "timed out" in check.found


@pytest.mark.usefixtures("whole_assets")
def test_network_is_left_alone_after_the_set_up(no_network: list[str]) -> None:
    assert doctor.check_network().ok
    assert no_network == []


def install(folder: Path, name: str, version: str) -> None:
    """What a package of this version leaves for `importlib.metadata` to find."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_widgets_without_their_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_widgets().ok
    known = metadata.version

    def version(name: str) -> str:
        if name == "jupyterlab_widgets":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    check = doctor.check_widgets()
    assert not check.ok
    assert "without jupyterlab_widgets" in check.found
    assert re.search(r'pip install --force-reinstall --no-deps "jupyterlab[-_]widgets', check.fix)


def test_widgets_whose_front_end_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "jupyterlab_widgets", "1.1.1")
    monkeypatch.syspath_prepend(tmp_path)
    check = doctor.check_widgets()
    assert not check.ok
    assert "jupyterlab_widgets 1.1.1, which don't fit" in check.found
    assert re.search('"jupyterlab[-_]widgets', check.fix)


def test_widgets_that_are_too_old_for_the_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "ipywidgets", "7.8.5")
    install(tmp_path, "jupyterlab", "3.6.8")
    monkeypatch.syspath_prepend(tmp_path)
    check = doctor.check_packages()
    assert not check.ok
    assert sorted(check.found.split(", ")) == ["ipywidgets 7.8.5", "jupyterlab 3.6.8"]
    assert 'pip install "ipywidgets' in check.fix and 'pip install "jupyterlab' in check.fix


@pytest.mark.parametrize(
    ("wanted", "ok"), [("^3.0.0", False), ("^4.0.0", True), ("^3.0.0 || ^4.0.0", True)]
)
def test_front_end_of_another_jupyterlab_that_comes_first(
    wanted: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that lies in the user's own folder since years."""
    file = tmp_path / "labextensions" / doctor.WIDGETS_IN_LAB
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"dependencies": {"@jupyterlab/application": wanted}}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    check = doctor.check_widgets()
    assert check.ok is ok
    if not ok:
        assert f"{file.parent} is not for JupyterLab 4" in check.found
        assert str(file.parent) in check.fix and "JUPYTER_PREFER_ENV_PATH=1" in check.fix


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


# -------------------------------------------------------------------------------------------- port


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[int]:
    with socket.create_server(("localhost", port)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def jupyter_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account without settings of its own."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("JUPYTER_PORT", "JUPYTER_PORT_RETRIES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("jupyter_account")
def test_port_in_use_and_no_other_to_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PORT_RETRIES", "0")
    with listening() as port:
        monkeypatch.setenv("JUPYTER_PORT", str(port))
        check = doctor.check_port()
        assert (check.ok, check.found) == (False, f"{port} is taken")
        assert "jupyter server list" in check.fix and "JUPYTER_PORT" in check.fix
    assert doctor.check_port() == doctor.Check("port", True, f"{port} is free")


@pytest.mark.usefixtures("jupyter_account")
def test_port_in_use_and_another_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port:
        monkeypatch.setenv("JUPYTER_PORT", str(port))
        check = doctor.check_port()
        assert check.ok
        assert check.found.startswith(f"{port} is taken, so `make lab` takes ")
        assert "open the address that it prints" in check.found


@pytest.mark.usefixtures("jupyter_account")
def test_port_of_the_accounts_own_settings(tmp_path: Path) -> None:
    with listening() as port:
        settings = {"ServerApp": {"port": port, "port_retries": 0}}
        file = tmp_path / "JUPYTER_CONFIG_DIR/jupyter_server_config.json"
        file.parent.mkdir()
        file.write_text(json.dumps(settings))
        assert doctor.check_port().found == f"{port} is taken"


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("LABKIT_PROFILE", "Small", "small or full"),
        ("LABKIT_LANG", "de", "en or zh"),
        ("LABKIT_DATA", "nowhere", "a folder of data sets"),
    ],
)
def test_a_setting_that_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fix: str
) -> None:
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (check,) = [check for check in doctor.examine() if check.name == "settings"]
    assert check.ok
    monkeypatch.setenv(name, value)
    (check,) = [check for check in doctor.examine() if check.name == "settings"]
    assert not check.ok and f"{name}={value!r}" in check.found and fix in check.advice()
