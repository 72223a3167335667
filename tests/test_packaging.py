"""A fresh clone sets itself up: what is declared, locked and run agrees with itself."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import ROOT
from labkit.audit.findings import audit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FOR_READERS = [Requirement(line) for line in PROJECT["dependencies"]]
FOR_MAINTAINERS = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
DECLARED = FOR_READERS + FOR_MAINTAINERS
LOCKED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE
    )
}
# conda-forge's name for the same project; the -base ones come without a window system
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}


def needed_here(requirements: list[Requirement]) -> set[str]:
    """Names of all that ``requirements`` bring along on this platform, themselves included."""
    found: set[tuple[str, str]] = set()
    todo = [(r, extra) for r in requirements for extra in ("", *r.extras)]
    while todo:
        requirement, extra = todo.pop()
        key = (canonicalize_name(requirement.name), extra)
        if key in found:
            continue
        found.add(key)
        for line in distribution(requirement.name).requires or []:
            child = Requirement(line)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                todo += [(child, e) for e in ("", *child.extras)]
    return {name for name, _ in found}


# ------------------------------------------------------------------------------ requirements.lock


def test_lock_names_everything_that_readers_and_maintainers_install() -> None:
    try:
        needed = needed_here(DECLARED)
    except PackageNotFoundError as missing:
        pytest.fail(f"{missing} is declared in pyproject.toml and not installed: run make test")
    on_cuda_machines_only = {n for n in needed if re.match(r"nvidia|cuda|triton", n)}
    assert needed - on_cuda_machines_only - {"pip"} <= set(LOCKED)


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_lock_lies_within_the_declared_range(requirement: Requirement) -> None:
    assert Version(LOCKED[canonicalize_name(requirement.name)]) in requirement.specifier


def test_lock_asks_for_one_torch_that_every_platform_has() -> None:
    # A local suffix (2.13.0+cpu) exists on one index only; CUDA's packages on one platform only.
    assert LOCKED["torch"] == "2.13.0"
    assert not [version for version in LOCKED.values() if "+" in version]
    assert not [name for name in LOCKED if re.match(r"nvidia|cuda|triton", name)]


def test_lock_can_be_installed_on_the_first_python_that_is_declared() -> None:
    """Debian's Python is older than the newest patch release, on which `make lock` may run."""
    (lowest,) = [s.version for s in SpecifierSet(PROJECT["requires-python"]) if s.operator == ">="]
    needed = {name: distribution(name) for name in needed_here(DECLARED) & set(LOCKED)}
    asked = {name: it.metadata.get("Requires-Python", "") for name, it in needed.items()}
    assert len(asked) > 50
    refuse = {name: line for name, line in asked.items() if f"{lowest}.0" not in SpecifierSet(line)}
    assert not refuse


# ------------------------------------------------------------------------- what is needed for what


def test_readers_install_everything_that_labkit_imports() -> None:
    """What only an extra brings is imported where it is needed, with an error that names it."""
    for_readers = needed_here(FOR_READERS)
    of_extras = {"nbgrader", "alembic", "sqlalchemy", "ray", "latex2mathml", "pdoc"}
    providers_of = packages_distributions()
    imported = set()
    for file in (ROOT / "labkit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            imported |= {name.partition(".")[0] for name in names}
    imported -= {"labkit", *sys.stdlib_module_names}
    assert {"torch", "typer", "matplotlib"} <= imported
    for name in imported - of_extras:
        providers = {canonicalize_name(provider) for provider in providers_of[name]}
        assert providers & for_readers, f"{name} is imported and not declared"


def test_readers_install_no_tools_of_maintainers() -> None:
    for_maintainers = {canonicalize_name(r.name) for r in FOR_MAINTAINERS}
    assert {"ruff", "import-linter", "pytest-xdist", "mypy", "ray"} <= for_maintainers
    assert not for_maintainers & {canonicalize_name(r.name) for r in FOR_READERS}
    assert not needed_here(FOR_READERS) & {"ruff", "import-linter", "pytest-xdist", "mypy", "ray"}


# ------------------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the built wheel; what labkit needs is borrowed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    alone = ["--no-index", "--no-deps"]
    subprocess.run(
        [*pip, "wheel", *alone, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment")
    (binaries,) = {f.parent for f in (folder / "environment").rglob("python*") if f.is_file()}
    python = binaries / Path(sys.executable).name
    subprocess.run([*pip, "--python", python, "install", *alone, wheel], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "environment")}))
    # behind the environment's own packages, and without this checkout: .pth files in it don't count
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return binaries


def run_installed(binaries: Path, folder: Path, *arguments: str) -> dict:
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [binaries / "labkit", *arguments, "--json"],
        cwd=folder,
        env=inherited,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_wheel_holds_the_data_and_works_in_another_folder(
    installed: Path, tmp_path: Path
) -> None:
    python = installed / Path(sys.executable).name
    ask = "from labkit.core.bundled import bundled; print(bundled())"
    asked = subprocess.run([python, "-c", ask], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    data = Path(asked.stdout.strip())
    assert data.parts[-2:] == ("labkit", "data")
    assert installed.parent in data.parents
    folders = [ROOT / "data" / name for name in ("prompts", "paper", "facts", "models")]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    files += (ROOT / "data/reference").glob("*.json")
    assert len(files) > 50
    for file in files:
        assert (data / file.relative_to(ROOT / "data")).read_bytes() == file.read_bytes()

    assert run_installed(installed, tmp_path, "audit") == {
        "findings": [vars(finding) for finding in audit()],
        "claims": json.loads((ROOT / "data/claims.json").read_text("utf-8"))["claims"],
    }
    scores = {}
    for binaries, folder in ((installed, data), (Path(sys.executable).parent, ROOT / "data")):
        prompt = str(folder / "prompts/minilm-rt-polarity")
        chosen = ["--backbone", "minilm", "--task", "rt-polarity", "--limit", "32"]
        result = run_installed(binaries, tmp_path, "evaluate", *chosen, "--prompt", prompt)
        scores[binaries] = {name: result[name] for name in ("n", "metric", "value", "ci95")}
    of_wheel, of_checkout = scores.values()
    assert of_wheel == of_checkout
    assert of_wheel["n"] == 32
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------- environment.yml


def test_conda_environment_equals_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    *packages, labkit_last = environment["dependencies"]
    found = {
        r.name: r.specifier for r in map(Requirement, packages) if r.name not in ("python", "pip")
    }
    assert found == {CONDA_NAMES.get(r.name, r.name): r.specifier for r in FOR_READERS}
    assert f"python{PROJECT['requires-python']}" in packages
    assert labkit_last == {"pip": ["-e ."]}


def test_conda_environment_uses_conda_forge_alone() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert not [p for p in environment["dependencies"] if "::" in p]


def test_citation_and_package_name_the_same_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


# --------------------------------------------------------------------------------------- Makefile

# Stands in for every Python: answers the version check, "makes" an environment by copying itself,
# and writes down what else it is asked to run.
STAND_IN = """#!/bin/sh
case "$1 $2" in
    "-c "*) exit 0 ;;
    "--version "*) echo "Python 3.12.0" ;;
    "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python; echo venv >> calls.txt ;;
    *) echo "$*" >> calls.txt ;;
esac
"""
INSTALL = "-m pip install --disable-pip-version-check -c requirements.lock -e ."
TOOLS = f"{INSTALL}[dev]"
FETCH = "-m labkit assets fetch"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


class Checkout:
    """A copy of the checkout's build files, and a stand-in for Python that records its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, folder)
        self.python = folder / "python3.12"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        calls = self.folder / "calls.txt"
        calls.unlink(missing_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=inherited | environment,
            capture_output=True,
            text=True,
        )
        self.calls = calls.read_text().splitlines() if calls.exists() else []
        return done


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "Ann's soft prompts, 2nd try")


@needs_make
def test_second_call_starts_at_once_and_a_new_lock_installs_again(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python}"
    assert checkout.make("assets", python).returncode == 0
    assert checkout.calls == ["venv", INSTALL, FETCH]

    checkout.make("assets", python)
    assert checkout.calls == [FETCH]

    checkout.make("lint", python)
    assert checkout.calls[0] == TOOLS
    checkout.make("lint", python)
    assert TOOLS not in checkout.calls

    changed = (checkout.folder / ".venv/installed-in").stat().st_mtime + 2
    os.utime(checkout.folder / "requirements.lock", (changed, changed))
    checkout.make("assets", python)
    assert checkout.calls == [INSTALL, FETCH]
    checkout.make("lint", python)
    assert TOOLS in checkout.calls


@needs_make
def test_moved_checkout_makes_its_environment_anew(checkout: Checkout) -> None:
    checkout.make("assets", f"PYTHON={checkout.python}")
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.make("assets", f"PYTHON={checkout.folder / 'python3.12'}")
    assert checkout.calls == ["venv", INSTALL, FETCH]


@needs_make
def test_without_a_python_one_line_says_what_to_do(checkout: Checkout) -> None:
    done = checkout.make("lint", "PYTHON=no-such-python")
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(ours) == 1
    assert "Python 3.11 or newer" in ours[0]
    assert "no-such-python" in ours[0]


@needs_make
def test_newest_python_that_really_starts_is_taken(checkout: Checkout) -> None:
    # a version manager leaves stand-ins on the PATH for versions that are not switched on
    dead = checkout.folder / "python3.13"
    dead.write_text("#!/bin/sh\nexit 127\n")
    dead.chmod(0o755)
    done = checkout.make("assets", PATH=f"{checkout.folder}:{os.environ['PATH']}")
    assert "Making .venv with Python 3.12.0" in done.stdout
    assert checkout.calls == ["venv", INSTALL, FETCH]


@needs_make
def test_lab_opens_the_first_notebook_with_a_display_or_without(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python}"
    checkout.make("lab", python, DISPLAY="", WAYLAND_DISPLAY="")
    dark = checkout.calls[-1].split()
    checkout.make("lab", python, DISPLAY=":0")
    lit = checkout.calls[-1].split()

    first_notebook = "--LabApp.default_url=/lab/tree/notebooks/01_hard_prompt.ipynb"
    assert lit[:2] == ["-m", "jupyterlab"]
    assert lit[-1] == first_notebook
    assert "--no-browser" not in lit
    assert ("--allow-root" in lit) == (os.getuid() == 0)
    if os.uname().sysname != "Darwin":  # which always has one
        assert [flag for flag in dark if flag not in lit] == ["--no-browser"]
