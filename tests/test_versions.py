"""What `make test-versions` holds pip to; the environments themselves are too large for a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import versions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for a Python")


@pytest.fixture
def python(tmp_path: Path):
    """offered versions of torch → a program that answers as that Python's pip would."""

    def write(*offered: str) -> Path:
        program = tmp_path / "python3.99"
        listing = f"torch (9.9)\nAvailable versions: {', '.join(offered)}" if offered else ""
        program.write_text(f"#!/bin/sh\ncat <<'end'\n{listing}\nend\n")
        program.chmod(0o755)
        return program

    return write


OFFERED = ("3.0.0+cpu", "2.15.0", "2.14.0+cpu", "2.13.0+cu130", "2.7.0+cpu", "2.6.0", "2.5.0+cpu")


@pytest.mark.parametrize(
    ("system", "lowest", "newest"),
    [("linux", "2.7.0+cpu", "2.14.0+cpu"), ("darwin", "2.6.0", "2.15.0")],
)
def test_torch_is_taken_for_cpus_and_within_its_bounds(
    python, monkeypatch, system, lowest, newest
) -> None:
    monkeypatch.setattr(versions.sys, "platform", system)
    wanted = Requirement("torch>=2.6,<3")
    assert versions.torch_build("lowest", python(*OFFERED), wanted) == lowest
    assert versions.torch_build("newest", python(*OFFERED), wanted) == newest


def test_builds_for_gpus_are_taken_only_if_asked_for(python, monkeypatch) -> None:
    monkeypatch.setattr(versions.sys, "platform", "linux")
    wanted = Requirement("torch>=2.6,<3")
    assert versions.torch_build("lowest", python(*OFFERED), wanted, gpu_builds=True) == "2.6.0"
    assert versions.torch_build("newest", python(*OFFERED), wanted, gpu_builds=True) == "2.15.0"


@pytest.mark.parametrize("offered", [(), ("2.15.0", "2.14.0+cu130")])
def test_a_python_without_torch_for_cpus_is_said_and_not_run(python, monkeypatch, offered) -> None:
    monkeypatch.setattr(versions.sys, "platform", "linux")
    with pytest.raises(versions.CannotRun, match=r"no torch for CPUs for python3\.99"):
        versions.torch_build("newest", python(*offered), Requirement("torch>=2.6,<3"))


def test_lowest_are_the_bounds_of_every_requirement(python) -> None:
    pins = [Requirement(pin) for pin in versions.constraints("lowest", python("2.7.0+cpu"))]
    asked = versions.PROJECT["dependencies"] + versions.PROJECT["optional-dependencies"]["dev"]
    for requirement in map(Requirement, asked):
        (pin,) = [pin for pin in pins if pin.name == requirement.name]
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert requirement.specifier.contains(exact.version)
        (lowest,) = [bound for bound in requirement.specifier if bound.operator == ">="]
        assert Version(Version(exact.version).public) == Version(lowest.version)


def test_newest_leaves_everything_but_torch_open(python) -> None:
    assert versions.constraints("newest", python("2.9.0+cpu")) == ["torch==2.9.0+cpu"]


def test_python_that_is_not_here_is_said() -> None:
    with pytest.raises(versions.CannotRun, match="no /nowhere/python with venv is here"):
        versions.find_python("newest", "/nowhere/python")
