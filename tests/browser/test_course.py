"""The course as a person meets it: JupyterLab in a browser, run and answered by keyboard.

Slow, and in need of a browser: `make test-browser` runs it, a plain `pytest` does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("selenium", reason="make test-browser installs it")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from browser import lab
from conftest import ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(lab.find_browser() is None, reason="no Chromium with its driver here"),
]

NOTEBOOK_RUN_S = 1500  # minutes on a quiet machine, many more on one that is busy
SCREENSHOTS = ROOT / "build/browser"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the notebooks, without outputs, and of the assignments; the masters stay."""
    folder = tmp_path_factory.mktemp("course")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / path.name)
    for path in (ROOT / "assignments").glob("*.ipynb"):
        shutil.copy(path, folder / f"assignment-{path.name}")
    return folder


@pytest.fixture(scope="module")
def address(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab.jupyterlab(course, tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser of the test's own; at the end its console holds no error.

    Where the test fails, a screenshot of what could be seen then lies under build/browser/.
    """
    with lab.chromium(tmp_path / "profile") as driver:
        failed_before = request.session.testsfailed
        yield driver
        errors = lab.console_errors(driver)
        if request.session.testsfailed > failed_before or errors:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            driver.save_screenshot(SCREENSHOTS / f"{request.node.name}.png")
        assert errors == []


@pytest.mark.quick
def test_exercise_gives_a_hint_and_then_a_tick(
    driver: webdriver.Chrome, address: str, course: Path
) -> None:
    page = lab.NotebookPage(driver, address, course / "assignment-01_hard_prompt.ipynb")
    page.run("ex1-solution")
    page.run("ex1-check")
    assert "clean is still empty" in page.output("ex1-check")

    one_line = 'return list(dict.fromkeys(" ".join(s.split()) for s in raw.{}))'
    page.replace_last_line("ex1-solution", one_line.format('decode().split("\\n") if s.strip()'))
    page.run("ex1-solution")
    page.run("ex1-check")
    assert "the bytes are not UTF-8" in page.output("ex1-check")
    assert "✓" not in page.output("ex1-check")

    right = one_line.format('decode("latin-1").split("\\n") if s.strip()')
    page.replace_last_line("ex1-solution", right)
    page.run("ex1-solution")
    page.run("ex1-check")
    assert page.output("ex1-check").startswith("✓ cleaned")


@pytest.mark.quick
def test_notebook_01_runs_and_scores_a_review_of_ones_own(
    driver: webdriver.Chrome, address: str, course: Path
) -> None:
    page = lab.NotebookPage(driver, address, course / "01_hard_prompt.ipynb")
    page.run_all(NOTEBOOK_RUN_S)
    assert page.failures() == {}

    first = page.picture("play")
    box = page.cell("play").find_element(By.CSS_SELECTOR, "input[type=text]")
    box.click()
    page.keys("a", control=True)
    page.keys("Two hours that I want back, and popcorn too." + Keys.ENTER)
    lab.wait_until(lambda: page.picture("play") != first, 60, "the scores of the new review")

    second = page.picture("play")
    page.keys("a", control=True)
    page.keys(Keys.DELETE + Keys.ENTER)
    lab.wait_until(
        lambda: any(
            e.text
            for e in page.cell("play").find_elements(
                By.CSS_SELECTOR, ".jp-Cell-outputArea .widget-label"
            )
        ),
        60,
        "a line that says what is wrong with an empty review",
    )
    assert page.picture("play") == second


def test_notebook_02_runs_and_its_widgets_move_their_pictures(
    driver: webdriver.Chrome, address: str, course: Path
) -> None:
    page = lab.NotebookPage(driver, address, course / "02_soft_prompt.ipynb")
    page.run_all(NOTEBOOK_RUN_S)
    assert page.failures() == {}

    for name in ("length-play", "nearest-play"):
        move_slider_there_and_back(page, name)
    mean = page.picture("attention")
    layer = page.cell("attention").find_element(By.CSS_SELECTOR, "select")
    Select(layer).select_by_visible_text("3")
    lab.wait_until(lambda: page.picture("attention") != mean, 60, "the attention of layer 3")


def test_notebook_04_runs_and_its_slider_moves_the_figure(
    driver: webdriver.Chrome, address: str, course: Path
) -> None:
    page = lab.NotebookPage(driver, address, course / "04_shuffle_probe.ipynb")
    page.run_all(NOTEBOOK_RUN_S)
    assert page.failures() == {}

    move_slider_there_and_back(page, "play")


def move_slider_there_and_back(page: lab.NotebookPage, name: str) -> None:
    """One step by keyboard, and the picture changes; one step back, and the first one is there."""
    first = lab.wait_until(lambda: page.picture(name), 20, f"the picture below {name}")
    slider = "[role=slider]"
    lab.wait_until(
        lambda: page.cell(name).find_element(By.CSS_SELECTOR, slider).click() is None,
        20,
        f"a click on the slider of {name}",
    )
    page.keys(Keys.ARROW_RIGHT)
    lab.wait_until(lambda: page.picture(name) != first, 60, f"another picture below {name}")
    page.keys(Keys.ARROW_LEFT)
    lab.wait_until(lambda: page.picture(name) == first, 60, f"the first picture below {name}")
