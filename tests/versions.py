"""The unit tests with the lowest and the newest versions that pyproject.toml admits.

    make test-versions                      # lowest on the oldest Python, newest on the newest
    make test-versions PYTHON=/path/to/python3.14    # that one for the newest
    make test-versions ONLY=lowest
    make test-versions GPU_BUILDS=1         # torch for GPUs where no other is offered: 6 GB each

Each row of the table that it prints is an environment of its own under build/versions/, which is
removed afterwards. On Linux torch is taken as a build for CPUs, the lowest or newest that pip's
indexes offer. PyTorch's own index has them all: PIP_EXTRA_INDEX_URL=
https://download.pytorch.org/whl/cpu; without it, builds for GPUs, which run on CPUs too, are taken
if asked for. What can't be run is said.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build/versions"
SHOWN = ("torch", "transformers", "peft", "datasets", "numpy")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OLDEST = Version(PROJECT["requires-python"].removeprefix(">="))
ABOUT_THE_LOCK = (  # and so about what an environment made from it holds
    "tests/test_packaging.py::test_lock_names_everything_that_readers_and_maintainers_install",
    "tests/test_packaging.py::test_lock_can_be_installed_on_the_first_python_that_is_declared",
)
NEWEST_LOOKED_FOR = 20  # Python 3.20


class CannotRun(Exception):
    """Why a row is left out of the table's results."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", choices=["lowest", "newest"])
    options.add_argument("--python", help="for the newest versions")
    options.add_argument("--gpu-builds", action="store_true", help="take torch for GPUs too")
    options.add_argument("tests", nargs="*", default=["tests"])
    given = options.parse_args()
    rows = []
    for name in [given.only] if given.only else ["lowest", "newest"]:
        try:
            rows.append(run(name, find_python(name, given.python), given.tests, given.gpu_builds))
        except CannotRun as reason:
            rows.append([name, *["–"] * (1 + len(SHOWN)), f"not run: {reason}"])
    header = ["versions", "Python", *SHOWN, "result"]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print()
    for row in [header, *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return int(any(row[-1].startswith("failed") for row in rows))


def find_python(name: str, given: str | None) -> str:
    """The oldest Python that the project admits, or the newest that is here.

    Only one that runs is there: a version manager's stand-in may lead nowhere.
    """
    if name == "newest" and given:
        candidates = [given]
    else:
        minors = range(OLDEST.minor, NEWEST_LOOKED_FOR + 1)
        if name == "lowest":
            minors = [OLDEST.minor]
        candidates = [f"python3.{minor}" for minor in reversed(minors)]
    for python in candidates:
        if shutil.which(python) and _output(python, "-c", "import ensurepip, venv; print(1)"):
            return python
    raise CannotRun(f"no {' or '.join(candidates[:1])} with venv is here")


def run(name: str, python: str, tests: list[str], gpu_builds: bool) -> list[str]:
    """Make the environment, run the tests in it, remove it; a row of the table."""
    folder = FOLDER / name
    print(f"== {name}: an environment with {python}", flush=True)
    _call(python, "-m", "venv", "--clear", folder)
    try:
        own = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pins = FOLDER / f"{name}.txt"
        pins.write_text("\n".join(constraints(name, own, gpu_builds)) + "\n")
        if not _succeeds(own, "-m", "pip", "install", "-q", "-c", pins, "-e", f"{ROOT}[dev]"):
            raise CannotRun(f"pip can't install what {pins.relative_to(ROOT)} asks for, see above")
        installed = json.loads(_output(own, "-m", "pip", "list", "--format", "json"))
        versions = {package["name"]: package["version"] for package in installed}
        settings = os.environ | {"OMP_NUM_THREADS": "1", "LABKIT_PROFILE": "small"}
        workers = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
        left_out = [word for test in ABOUT_THE_LOCK for word in ("--deselect", test)]
        command = [own, "-m", "pytest", "-q", *workers, *left_out, *tests]
        with subprocess.Popen(
            command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True
        ) as pytest:
            for line in pytest.stdout:
                print(line, end="", flush=True)
    finally:
        shutil.rmtree(folder)
    last = line.strip("= \n")  # such as: 811 passed, 3 skipped in 412.05s
    verdict = last if pytest.returncode == 0 else f"failed: {last}"
    version = _output(python, "-c", "import platform; print(platform.python_version())").strip()
    return [name, version, *(versions[package] for package in SHOWN), verdict]


def constraints(name: str, python: Path, gpu_builds: bool = False) -> list[str]:
    """What pip is held to: the lower bounds themselves, or nothing but torch."""
    asked = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    wanted = {requirement.name: requirement for requirement in map(Requirement, asked)}
    torch = f"torch=={torch_build(name, python, wanted.pop('torch'), gpu_builds)}"
    if name == "newest":
        return [torch]
    return [torch, *(f"{r.name}=={_lower_bound(r)}" for r in wanted.values())]


def torch_build(name: str, python: Path, wanted: Requirement, gpu_builds: bool = False) -> str:
    """The lowest or newest torch that pip can have for this Python, for CPUs if not told else."""
    listed = _output(python, "-m", "pip", "index", "versions", "torch")
    found = re.search(r"^Available versions: (.*)$", listed, re.MULTILINE)
    offered = [Version(v) for v in found[1].split(", ")] if found else []
    admitted = [v for v in offered if wanted.specifier.contains(v)]
    # PyPI's builds for Linux are for GPUs; those for macOS and Windows are not
    any_build = gpu_builds or sys.platform != "linux"
    suited = [v for v in admitted if any_build or v.local == "cpu"]
    if not suited:
        raise CannotRun(f"pip's indexes offer no torch for CPUs for {python.resolve().name}")
    chosen = (min if name == "lowest" else max)(suited)
    end = (min if name == "lowest" else max)(admitted)
    if chosen.public != end.public:
        print(f"torch {end.public} is offered for GPUs only; taking {chosen}", flush=True)
    return str(chosen)


def _lower_bound(requirement: Requirement) -> str:
    return next(bound.version for bound in requirement.specifier if bound.operator == ">=")


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def _output(*command: object) -> str:
    parts = [str(part) for part in command]
    return subprocess.run(parts, capture_output=True, text=True, check=False).stdout


def _succeeds(*command: object) -> bool:
    return subprocess.run([str(part) for part in command], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
