"""The site: complete, small, and read from the file system without asking anybody for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml", reason="make test-browser installs it")
pytest.importorskip("selenium", reason="make test-browser installs it")

from selenium import webdriver
from selenium.webdriver.common.by import By

from browser import lab
from conftest import ROOT
from labkit.core.errors import LabError
from labkit.course.language import translation
from labkit.course.pages import site

pytestmark = [pytest.mark.browser, pytest.mark.quick]

LOADING = {
    ("img", "src"),
    ("script", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
PAGE_BYTES = 2_000_000


class Page(HTMLParser):
    """The addresses and ids of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in LOADING:
                self.loaded.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")
            elif name == "id":
                self.ids.add(value or "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.build(folder)
    return folder


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    if lab.find_browser() is None:
        pytest.skip("no Chromium with its driver here")
    with lab.chromium(tmp_path / "profile") as driver:
        yield driver
        assert lab.console_errors(driver) == []


def test_every_notebook_has_a_page_of_its_cells(folder: Path) -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page = folder / f"{path.stem}.html"
        ids = re.findall(r'^   "id": "([\w-]+)"', path.read_text("utf-8"), re.MULTILINE)
        assert ids
        assert set(ids) <= Page(page).ids


def test_translated_cells_have_their_chinese_below_the_english(folder: Path) -> None:
    translated = sorted((ROOT / "docs/zh").glob("*.md"))
    assert translated
    for path in translated:
        page = folder / f"{path.stem}.html"
        assert {f"zh-{name}" for name in translation.read(path)} < Page(page).ids
        assert f"{page.name}#zh" in Page(folder / "index.html").links
        sections = page.read_text("utf-8").split("<section ")
        folds = [part for part in sections if '<details class="zh"' in part]
        assert len(folds) == len(translation.read(path))
        for fold in folds:
            english, chinese = fold.split('<details class="zh"')
            assert english.count("<math") == chinese.count("<math")


def test_pages_are_small_and_load_nothing_from_elsewhere(folder: Path) -> None:
    for path in folder.glob("*.html"):
        assert path.stat().st_size <= PAGE_BYTES, path.name
        foreign = [a for a in Page(path).loaded if not a.startswith("data:")]
        assert sorted(foreign) == ["course.js", "search.js"], path.name
        text = path.read_text("utf-8")
        assert "@import" not in text
        assert "HIDDEN TESTS" not in text
        assert not re.search(r"<m[io]>\\[a-z]", text), "an equation's command stands there as text"


def test_internal_links_lead_somewhere(folder: Path) -> None:
    pages = {path.name: Page(path) for path in folder.glob("*.html")}
    n_links = 0
    for name, page in pages.items():
        for link in page.links:
            if link.startswith(("http://", "https://")):
                continue
            target, _, anchor = link.partition("#")
            assert (folder / (target or name)).is_file(), f"{name} links to {link}"
            assert not anchor or anchor in pages[target or name].ids, f"{name} links to {link}"
            n_links += 1
    assert n_links > 2 * len(pages)


def test_equations_are_mathml_and_dollars_in_code_are_not() -> None:
    page = site.render("With $a_b < 2$ and\n\n$$\n\\frac{1}{n}\n$$\n\nrun `echo $A $B`.")
    assert page.count("<math") == 2
    assert 'display="block"' in page
    assert "<mfrac>" in page
    assert re.search(r"<mo[^>]*>(&lt;|&#x0*3C;)</mo>", page)
    assert "echo $A $B" in page


def test_folder_without_notebooks(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no notebooks"):
        site.build(tmp_path / "site", root=tmp_path)


def test_search_finds_a_cell_from_the_file_system(driver: webdriver.Chrome, folder: Path) -> None:
    driver.get((folder / "index.html").as_uri())
    box = driver.find_element(By.ID, "search")
    box.send_keys("wilson interval")
    hits = driver.find_elements(By.CSS_SELECTOR, "#found a")
    assert hits
    assert hits[0].get_attribute("href").endswith("01_hard_prompt.html#ex6-text")
    hits[0].click()
    lab.wait_until(lambda: driver.find_elements(By.ID, "ex6-text"), 20, "the page of the hit")
    box = driver.find_element(By.ID, "search")
    box.send_keys("zzzz")
    assert driver.find_element(By.ID, "found").text == "Nothing found."


def test_chinese_unfolds_at_once_and_a_hit_unfolds_its_own(
    driver: webdriver.Chrome, folder: Path
) -> None:
    def folds() -> int:
        return len(driver.find_elements(By.CSS_SELECTOR, "details.zh[open]"))

    number = len(translation.read(ROOT / "docs/zh/01_hard_prompt.md"))
    driver.get((folder / "01_hard_prompt.html").as_uri())
    assert folds() == 0
    title = driver.find_element(By.CSS_SELECTOR, "p.title")
    assert not title.is_displayed()
    driver.find_element(By.ID, "zh").click()
    assert folds() == number
    assert title.is_displayed() and re.search(r"[\u4e00-\u9fff]", title.text)
    driver.find_element(By.ID, "zh").click()
    assert folds() == 0
    driver.find_element(By.ID, "search").send_keys("硬币")
    driver.find_element(By.CSS_SELECTOR, "#found a").click()
    lab.wait_until(lambda: folds() == 1, 20, "the fold of the hit")
    driver.get((folder / "index.html").as_uri())
    driver.find_element(By.LINK_TEXT, "附中文").click()
    lab.wait_until(lambda: folds() == number, 20, "the page with its Chinese unfolded")
