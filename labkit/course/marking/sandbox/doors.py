"""The doors around a submission: bubblewrap, with a list of what may be seen.

A program behind them sees the system's programs and libraries, the Python that runs labkit, labkit
with its data, the fetched models and data sets, all of it read-only, and one scratch folder to
write in. Everything else is not there: no other file of this user, no socket in the file system, no
network, no other process, no device. It holds no rights and can't gain any.
"""

from __future__ import annotations

import functools
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labkit.core import assets
from labkit.core.bundled import bundled

BUBBLEWRAP = "bwrap"
PACKAGE = Path(__file__).resolve().parents[3]

SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
)
SETTINGS = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/localtime", "/etc/fonts", "/sys/devices/system/cpu"),
)
"""What libraries look up when they are loaded; the last one tells torch the number of cores."""

SHUT = (
    "--unshare-all",
    "--unshare-user",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
)
NO_SECOND_SANDBOX = "--disable-userns"  # bubblewrap 0.8 and newer


@functools.cache
def why_open() -> str:
    """Why no process can be shut in on this system; empty where one can."""
    if sys.platform != "linux":
        return "bubblewrap, which shuts a process in, is a program of Linux"
    if shutil.which(BUBBLEWRAP) is None:
        return "bubblewrap is not installed (on Debian and Ubuntu: apt install bubblewrap)"
    with tempfile.TemporaryDirectory() as scratch:
        make_scratch(Path(scratch))
        tried = [*command(Path(scratch)), sys.executable, "-c", "import ctypes, socket"]
        done = subprocess.run(tried, capture_output=True, text=True, check=False, timeout=60)
    last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
    return f"bubblewrap fails here: {last[0]}" if done.returncode else ""


def make_scratch(scratch: Path) -> Path:
    """The folders that :func:`command` expects in an empty one; returns the one to work in."""
    for name in ("work", "shm"):
        (scratch / name).mkdir(parents=True)
    return scratch / "work"


def command(scratch: Path, hidden: Sequence[Path] = ()) -> list[str]:
    """The words before a program's own that run it behind the doors, in ``scratch/work``.

    Shared memory is a folder of ``scratch``, so that all that is written can be seen and counted.

    Args:
        hidden: folders that stay empty even if they lie below something that may be seen.
    """
    words = [*_bubblewrap(), *SHUT, "--proc", "/proc", "--dev", "/dev"]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for path in _without_nested(_visible()):
        words += ["--ro-bind", str(path), str(path)]
    for name in SETTINGS:
        words += ["--ro-bind-try", name, name]
    for path in _without_nested(hidden):
        words += ["--tmpfs", str(path), "--remount-ro", str(path)]
    words += ["--bind", str(scratch), str(scratch), "--chdir", str(scratch / "work")]
    words += ["--bind", str(scratch / "shm"), "/dev/shm"]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--"]


@functools.cache
def _bubblewrap() -> tuple[str, ...]:
    program = shutil.which(BUBBLEWRAP) or BUBBLEWRAP
    known = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    return (program, *([NO_SECOND_SANDBOX] if NO_SECOND_SANDBOX in known else []))


def _visible() -> Iterator[Path]:
    """Folders that labkit and its checks need, each as it is named and as it really is."""
    python = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    python += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    if site.ENABLE_USER_SITE:
        python.append(site.getusersitepackages())
    python.append(str(Path(sys.executable).resolve().parents[1]))
    for path in (
        *map(Path, python),
        PACKAGE,
        bundled(),
        assets.cache_dir(),
        *([] if assets.data_dir() is None else [assets.data_dir()]),
    ):
        if path.is_dir():
            yield from {path.absolute(), path.resolve()}


def _without_nested(paths: Iterable[Path]) -> list[Path]:
    """Sorted, without those that another one of them, or a folder of the system, holds."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(outer) for outer in kept):
            kept.append(path)
    return kept
