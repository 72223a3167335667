"""The dev container and Binder's image: Debian, and then the README's own commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conftest import ROOT

DEV, BINDER = ROOT / ".devcontainer/Dockerfile", ROOT / "binder/Dockerfile"
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
both = pytest.mark.parametrize("file", [DEV, BINDER], ids=lambda file: file.parent.name)

INSTRUCTIONS = ("FROM", "RUN", "ENV", "ARG", "COPY", "USER", "WORKDIR", "CMD")


def steps(file: Path) -> list[tuple[str, str]]:
    """(instruction, its argument), continued lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


@both
def test_image_is_debian_with_what_make_needs(file: Path) -> None:
    given = steps(file)
    assert {name for name, _ in given} <= set(INSTRUCTIONS)
    assert given[0] == ("FROM", "debian:bookworm")
    (installed,) = [text for name, text in given if "apt-get install" in text]
    assert {"make", "python3", "python3-venv", "ca-certificates"} <= set(installed.split())
    assert "apt-get update" in installed  # in the same layer, or an old list is used
    assert ("ENV", "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu") in given


def test_commands_are_those_of_the_makefile() -> None:
    container = json.loads((DEV.parent / "devcontainer.json").read_text("utf-8"))
    run = [container["postCreateCommand"], *(text for _, text in steps(BINDER))]
    called = {name for text in run for name in re.findall(r'^\[?"?make"?,? "?([a-z-]+)', text)}
    assert called == {"assets", "lab"}
    assert called <= set(re.findall(r"^([a-z]+)(?::| [a-z -]+:)", MAKEFILE, re.MULTILINE))


def test_binder_does_not_run_as_root_and_owns_the_course() -> None:
    given = steps(BINDER)
    names = [name for name, _ in given]
    assert ("USER", "${NB_USER}") in given
    assert names.index("USER") < next(i for i, (_, text) in enumerate(given) if "make" in text[:5])
    assert any(name == "COPY" and "--chown=${NB_USER}" in text for name, text in given)
    assert given[-1] == ("CMD", '["make", "lab"]')
    assert any(name == "ARG" and text == "NB_UID=1000" for name, text in given)
    path = next(text for name, text in given if name == "ENV" and "PATH=" in text)
    assert "/.venv/bin:${PATH}" in path  # Binder looks for jupyter there


def test_dev_container_makes_the_environment_that_it_names() -> None:
    container = json.loads((DEV.parent / "devcontainer.json").read_text("utf-8"))
    assert (DEV.parent / container["build"]["dockerfile"]).samefile(DEV)
    assert container["postCreateCommand"] == "make assets"
    editor = container["customizations"]["vscode"]
    interpreter = editor["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"
    assert re.search(r"^VENV  := \.venv$", MAKEFILE, re.MULTILINE)
    assert {"ms-python.python", "ms-toolsai.jupyter"} <= set(editor["extensions"])
    assert container["forwardPorts"] == [8888]  # Jupyter's own
