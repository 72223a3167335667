"""The reference: every public name with its docstring, read without a network or a browser."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path

import pytest

import labkit
from labkit.course.pages import reference

pytestmark = [pytest.mark.browser, pytest.mark.quick]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a public name that pdoc can't find is a warning
        assert reference.build(folder) == folder / "labkit.html"
    return folder


def test_public_names_stand_with_the_first_words_of_their_docstrings(folder: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (folder / "labkit.html").read_text("utf-8"))
    words = " ".join(page.split())
    for name in labkit.__all__:
        first = inspect.getdoc(getattr(labkit, name)).splitlines()[0].split("``")[0].split(":")[0]
        assert first.strip()[:40] in words, name


def test_every_module_has_a_page_and_tools_have_none(folder: Path) -> None:
    package = Path(labkit.__file__).parent
    subjects = {file.stem for file in package.glob("*_prompt.py")} | {"core/tuning", "experiments"}
    for name in subjects:
        assert (folder / "labkit" / f"{name}.html").is_file()
    assert not (folder / "labkit/cli.html").exists()
    assert not list(folder.glob("labkit/course/marking*"))


def test_pages_load_nothing_from_elsewhere(folder: Path) -> None:
    for page in folder.rglob("*.html"):
        text = page.read_text("utf-8")
        loads = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"([^\"]+)\"", text)
        assert not [address for address in loads if address.startswith(("http:", "https:", "//"))]
        written = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        for link in re.findall(r"<a\b[^>]*href=\"([^\"#:]+)(?:#[^\"]*)?\"", written):
            assert (page.parent / link).exists(), f"{page.name} leads to {link}"
