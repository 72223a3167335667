"""JupyterLab and a headless Chromium, driven as a person drives them: by keyboard and mouse.

Only what is on the machine is used: Chromium and its driver are looked for on the path, and nothing
is downloaded. The server keeps its settings, its runtime files and its workspaces in a folder of
its own, so that neither the account's nor the course's are touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
SERVER_START_S = 120
# A page is allowed to say these on its console: they are about the browser, not about the course.
HARMLESS = ("favicon.ico",)


def find_browser() -> tuple[str, str] | None:
    """Paths of Chromium and of its driver; None if one of them is not installed."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A headless window of 1400 × 1000 pixels that keeps what its pages say on the console."""
    found = find_browser()
    assert found, "no Chromium with its driver: on Debian, apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",  # of no use to root, and CI is root; all pages are our own
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1400,1000",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=found[1])
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


def console_errors(driver: webdriver.Chrome) -> list[str]:
    """What the pages complained about since the last call."""
    messages = [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
    return [m for m in messages if not any(harmless in m for harmless in HARMLESS)]


@contextlib.contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """JupyterLab over ``folder`` on a free port, with this Python's kernel; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = home / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"),
    ]
    log = home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(server, log, address), SERVER_START_S, "JupyterLab's start")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(server: subprocess.Popen, log: Path, address: str) -> bool:
    assert server.poll() is None, f"JupyterLab did not start:\n{log.read_text()}"
    try:
        urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of ``condition``; fails with ``what`` after so many seconds.

    An element that the page replaced while it was looked at counts as "not yet".
    """
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(StaleElementReferenceException, ElementClickInterceptedException):
            if value := condition():
                return value
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.25)


class NotebookPage:
    """A notebook that is open in JupyterLab; cells are named by their ids in the file."""

    def __init__(self, driver: webdriver.Chrome, address: str, path: Path) -> None:
        self.driver = driver
        self.cells = json.loads(path.read_text("utf-8"))["cells"]
        self.position = {cell["id"]: i for i, cell in enumerate(self.cells)}
        driver.get(f"{address}/lab/tree/{path.name}?reset")
        wait_until(
            lambda: len(self._all(f"{PANEL} .jp-Notebook .jp-Cell")) >= len(self.cells),
            90,
            f"the cells of {path.name}",
        )
        # the toolbar tells a sighted person the same: an idle kernel is an empty circle
        wait_until(
            lambda: self._all(f"{PANEL} .jp-Notebook-ExecutionIndicator[data-status=idle]"),
            120,
            "the kernel",
        )

    def cell(self, name: str) -> WebElement:
        """The cell, scrolled into view."""
        index = self.position[name]
        (cell,) = self._all(f"{PANEL} .jp-Cell[data-windowed-list-index='{index}']")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
        return cell

    def run_all(self, seconds: float) -> None:
        """Select every cell and run it, from the keyboard; wait until the last one has run."""
        first = self.cells[0]["id"]
        wait_until(lambda: self.cell(first).click() is None, 20, "a click on the first cell")
        self.keys(Keys.ESCAPE)
        self.keys("a", control=True)
        self.keys(Keys.ENTER, control=True)
        last = [cell["id"] for cell in self.cells if cell["cell_type"] == "code"][-1]
        self.wait_for_run(last, seconds)

    def run(self, name: str, seconds: float = 120) -> None:
        """Click into a cell and run it with Ctrl+Enter."""
        before = self.prompt(name)
        self.click_into(name)
        self.keys(Keys.ENTER, control=True)
        wait_until(lambda: self.prompt(name) not in (before, "[ ]:"), 30, f"{name} to start")
        self.wait_for_run(name, seconds)

    def replace_last_line(self, name: str, line: str) -> None:
        """Type ``line`` in the place of the last line of a code cell, behind its indentation."""
        self.click_into(name)
        self.keys(Keys.END, control=True)
        self.keys(Keys.HOME, shift=True)
        self.keys(line)

    def click_into(self, name: str) -> None:
        wait_until(
            lambda: self.cell(name).find_element(By.CSS_SELECTOR, ".cm-content").click() is None,
            20,
            f"a click into {name}",
        )

    def prompt(self, name: str) -> str:
        """``[3]:`` of a cell that has run, ``[*]:`` of one that is waiting."""
        return self.cell(name).find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text

    def wait_for_run(self, name: str, seconds: float) -> None:
        wait_until(lambda: self.prompt(name).strip("[]: ").isdigit(), seconds, f"{name} to run")

    def output(self, name: str) -> str:
        """The text below a cell, line breaks included."""
        areas = self.cell(name).find_elements(By.CSS_SELECTOR, ".jp-Cell-outputArea")
        return "\n".join(area.text for area in areas)

    def picture(self, name: str) -> str:
        """What the last figure below a cell shows, as its data address."""
        images = self.cell(name).find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output img")
        assert images, f"{name} shows no figure"
        return images[-1].get_attribute("src")

    def failures(self) -> dict[str, str]:
        """Cells that ended with an error, and what it says."""
        found = {}
        for name in self.position:
            errors = self.cell(name).find_elements(
                By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.error']"
            )
            errors += self.cell(name).find_elements(
                By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.stderr']"
            )
            if errors:
                found[name] = errors[0].text[-500:]
        return found

    def keys(self, keys: str, control: bool = False, shift: bool = False) -> None:
        """Press keys where the focus is, with Ctrl or Shift held."""
        held = [Keys.CONTROL] * control + [Keys.SHIFT] * shift
        chain = webdriver.ActionChains(self.driver)
        for key in held:
            chain.key_down(key)
        chain.send_keys(keys)
        for key in held:
            chain.key_up(key)
        chain.perform()

    def _all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)
