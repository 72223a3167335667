"""`labkit doctor`: is this machine set up, and if not, what mends it.

Every check is a function that returns what it found; none of them changes anything.
"""

from __future__ import annotations

import importlib
import json
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labkit.core import assets
from labkit.core.errors import LabError

DISTRIBUTION = "soft-prompt-lab"
MODEL_PACKAGES = ("torch", "transformers", "peft")
SPARE_BYTES = 200_000_000
LAST_PORT = 65_535
UNPACKED = 4
"""Room that an asset needs while it is fetched and unpacked, in multiples of its download."""
NETWORK_PATIENCE_S = 5
WIDGETS_IN_LAB = "@jupyter-widgets/jupyterlab-manager/package.json"


class Check(NamedTuple):
    """One finding: what was looked at, whether it is right, what was found, what mends it."""

    name: str
    ok: bool
    found: str
    fix: str = ""

    def advice(self) -> str:
        return "" if self.ok else f"; {self.fix}"


def examine() -> list[Check]:
    """Run every check; one that breaks down is a failed check and not an error."""
    return [_safely(name, check) for name, check in CHECKS.items()]


def check_python() -> Check:
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    version = platform.python_version()
    ok = Requirement(f"python{wanted}").specifier.contains(version, prereleases=True)
    return Check("python", ok, version, f"make the environment with Python {wanted}")


def check_package(name: str) -> Check:
    """Installed, and of a version that pyproject.toml allows."""
    wanted = _requirements()[name]
    fix = f'run: {_pip()} install "{name}{wanted.specifier}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", fix)
    return Check(name, wanted.specifier.contains(version, prereleases=True), version, fix)


def check_packages() -> Check:
    """All others that labkit needs, in one line."""
    others = [check_package(name) for name in _requirements() if name not in MODEL_PACKAGES]
    wrong = [check for check in others if not check.ok]
    state = ", ".join(f"{c.name} {c.found}" for c in wrong) or f"{len(others)} as required"
    return Check("packages", not wrong, state, "; ".join(check.fix for check in wrong))


def check_device() -> Check:
    """What the models run on; a torch without CUDA beside an NVIDIA GPU is a mistake."""
    import torch

    from labkit.core.loading import fast_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        dtype = str(fast_dtype(device)).removeprefix("torch.")
    except LabError as error:
        return Check("device", False, str(device), str(error))
    about = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    state = f"{device} ({about}), {dtype}, {torch.get_num_threads()} threads"
    if device.type == "cuda" or not has_nvidia_gpu():
        return Check("device", True, state)
    if torch.version.cuda is None:
        fix = (
            "there is an NVIDIA GPU, but this torch is for CPUs only: install one from pytorch.org"
        )
    else:
        fix = f"there is an NVIDIA GPU, but its driver does not serve CUDA {torch.version.cuda}"
    return Check("device", False, state, fix)


def has_nvidia_gpu() -> bool:
    """By the driver's own traces, whatever torch thinks."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def check_assets() -> Check:
    states = assets.verify()
    wrong = [f"{name} {state}" for name, state in states.items() if state != "ok"]
    state = ", ".join(wrong or states)
    return Check("assets", not wrong, state, "run `labkit assets fetch` with the network on")


def check_cache() -> Check:
    """Writable, or read-only with everything in it (a cache may be shared)."""
    folder = assets.cache_dir()
    try:
        with tempfile.TemporaryFile(dir=nearest_existing(folder)):
            return Check("cache", True, f"{folder} is writable")
    except OSError as error:
        whole = set(assets.verify().values()) == {"ok"}
        state = f"{folder} is not writable ({error.strerror})"
        return Check("cache", whole, state, "set LABKIT_CACHE to a folder that is")


def check_disk() -> Check:
    folder = assets.cache_dir()
    missing = [asset for asset in assets.default_assets() if not assets.is_ready(asset)]
    needed = SPARE_BYTES + UNPACKED * sum(asset.download_size for asset in missing)
    free = shutil.disk_usage(nearest_existing(folder)).free
    state = f"{free / 1e9:.1f} GB free at {folder}"
    fix = f"make room for {needed / 1e9:.1f} GB, or set LABKIT_CACHE to another disk"
    return Check("disk", free >= needed, state, fix)


def check_network() -> Check:
    """Only before the first set-up; afterwards nothing needs a network."""
    missing = [asset for asset in assets.default_assets() if not assets.is_ready(asset)]
    if not missing:
        return Check("network", True, "not needed: all assets are here")
    address = assets.file_url(missing[0], NETWORK_PATIENCE_S)
    return Check("network", True, f"assets can be fetched from {urlsplit(address).hostname}")


def check_widgets() -> Check:
    """Widgets are two halves, in Python and in JupyterLab, and both must fit."""
    version = importlib.import_module("ipywidgets").__version__
    wanted = _requirements("ipywidgets")["jupyterlab-widgets"]
    fix = f'run: {_pip()} install --force-reinstall --no-deps "{wanted}"'
    try:
        front_end = metadata.version("jupyterlab_widgets")
    except metadata.PackageNotFoundError:
        return Check("widgets", False, f"ipywidgets {version} without jupyterlab_widgets", fix)
    state = f"ipywidgets {version}, jupyterlab_widgets {front_end}"
    if not wanted.specifier.contains(front_end, prereleases=True):
        return Check("widgets", False, f"{state}, which don't fit", fix)
    file = _widgets_in_lab()
    if file is None:
        return Check("widgets", False, f"{state}, but not where JupyterLab looks", fix)
    lab = metadata.version("jupyterlab")
    if not drawn_by(lab, file):
        if not file.is_relative_to(sys.prefix):
            fix = f"delete {file.parent}, or start Jupyter with JUPYTER_PREFER_ENV_PATH=1"
        return Check("widgets", False, f"{file.parent} is not for JupyterLab {lab}", fix)
    return Check("widgets", True, state)


def _widgets_in_lab() -> Path | None:
    """The widgets' front end that JupyterLab will load: the first one on its path."""
    from jupyter_core.paths import jupyter_path

    files = (Path(folder) / WIDGETS_IN_LAB for folder in jupyter_path("labextensions"))
    return next((file for file in files if file.is_file()), None)


def drawn_by(lab: str, package_json: Path) -> bool:
    """Whether a front end was built for this major version of JupyterLab."""
    needs = json.loads(package_json.read_text("utf-8")).get("dependencies", {})
    majors = re.findall(r"\^(\d+)", needs.get("@jupyterlab/application", ""))  # ^3.0.0 || ^4.0.0
    return lab.partition(".")[0] in majors


def check_kernel() -> Check:
    """The notebooks ask for the kernel ``python3``: it must be this environment's Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    fix = (
        "run: python -m ipykernel install --sys-prefix, and start Jupyter with "
        "JUPYTER_PREFER_ENV_PATH=1 (make lab does)"
    )
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Check("kernel", False, "there is no Jupyter kernel python3", fix)
    return Check("kernel", runs_here(spec.argv[0]), f"python3 runs {spec.argv[0]}", fix)


def check_port() -> Check:
    """Where `make lab` will listen; a taken port is a trouble only if no other one may be tried."""
    from jupyter_server.serverapp import ServerApp

    server = ServerApp()
    server.load_config_file()
    wanted = server.port
    tried = range(wanted, min(wanted + server.port_retries, LAST_PORT) + 1)
    free = next((port for port in tried if is_free(port, server.ip)), None)
    if free == wanted:
        return Check("port", True, f"{wanted} is free")
    if free is not None:
        state = f"{wanted} is taken, so `make lab` takes {free}: open the address that it prints"
        return Check("port", True, state)
    fix = (
        "end what listens there (`jupyter server list` names Jupyter's own), or set "
        "JUPYTER_PORT to another one"
    )
    return Check("port", False, f"{_span(tried)} taken", fix)


def is_free(port: int, ip: str) -> bool:
    """Asked in the way in which Jupyter asks."""
    from tornado.netutil import bind_sockets

    try:
        sockets = bind_sockets(port, ip)
    except OSError:
        return False
    for opened in sockets:
        opened.close()
    return True


def _span(ports: range) -> str:
    return f"{ports[0]} is" if len(ports) == 1 else f"{ports[0]} to {ports[-1]} are"


def runs_here(program: str) -> bool:
    """Whether a kernel's program is this Python. A bare ``python`` is: Jupyter replaces it."""
    path = Path(program)
    if not path.is_absolute():
        return path.name.startswith("python")
    # not resolved: the python of an environment is a link to the one that made it
    return path.parent.absolute() == Path(sys.executable).parent.absolute()


def check_settings() -> Check:
    """What the environment says and no other check reads."""
    folder = assets.data_dir()
    if folder is not None and not folder.is_dir():
        fix = "set it to a folder of data sets, or take it away"
        return Check("settings", False, f"LABKIT_DATA={str(folder)!r} is no folder", fix)
    return Check("settings", True, f"profile {assets.profile()}, language {assets.language()}")


CHECKS: dict[str, Callable[[], Check]] = {
    "python": check_python,
    **{name: lambda name=name: check_package(name) for name in MODEL_PACKAGES},
    "packages": check_packages,
    "device": check_device,
    "assets": check_assets,
    "network": check_network,
    "cache": check_cache,
    "disk": check_disk,
    "widgets": check_widgets,
    "kernel": check_kernel,
    "port": check_port,
    "settings": check_settings,
}


def _safely(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except LabError as error:  # its line says what is wrong, and behind that what mends it
        state, _, fix = str(error).partition("; ")
        return Check(name, False, state, fix)
    except (ImportError, OSError) as error:
        fix = f"install the project anew: {_pip()} install -e ."
        return Check(name, False, " ".join(str(error).split()), fix)


def _pip() -> str:
    return f"{Path(sys.executable).name} -m pip"


def _requirements(distribution: str = DISTRIBUTION) -> dict[str, Requirement]:
    """What a distribution needs without its extras, by normalised name."""
    lines = metadata.requires(distribution) or []
    wanted = [Requirement(line) for line in lines if "extra ==" not in line]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


def nearest_existing(folder: Path) -> Path:
    """The folder itself, or the nearest one around it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
