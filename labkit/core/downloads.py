"""Downloads from a package index: by name, version and sha256, continued where they broke off.

Usage::

    download(package, folder, index="https://pypi.org/simple", what="smollm2", report=print)
"""

from __future__ import annotations

import hashlib
import html
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from labkit.core.errors import LabError

DEFAULT_INDEX = "https://pypi.org/simple"
PATIENCE_S = 60
_CHUNK = 1 << 20
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)


def is_address(text: str) -> bool:
    """Whether it can be the address of a package index."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # a number in its range, or an error
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


OnProgress = Callable[[str, int, int], None]
"""Called with (what is happening, bytes done, bytes in all)."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A file of a package on PyPI, as published."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int


def download(package: Package, folder: Path, index: str, what: str, report: OnProgress) -> Path:
    """The published file in ``folder``, whole and checked; a partial one is continued.

    Args:
        index: address of a package index (PEP 503); what: whose file it is, for messages.

    Raises:
        LabError: without a network, or if what the index serves is not the file that was tested.
        OSError: where the folder can't be written.
    """
    archive = folder / package.filename
    folder.mkdir(parents=True, exist_ok=True)
    if archive.is_file() and sha256(archive) == package.sha256:
        return archive
    part = archive.with_name(archive.name + ".part")
    url = file_url(package, index, what)
    for _attempt in range(2):
        _continue(url, part, package, index, what, report)
        if sha256(part) == package.sha256:
            os.replace(part, archive)
            return archive
        part.unlink()  # a damaged start can't be continued: the second attempt begins anew
    raise _other_file(package, index)


def _continue(
    url: str, part: Path, package: Package, index: str, what: str, report: OnProgress
) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done >= package.size:  # whole, or longer than it should be: the checksum decides
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            resumed = response.status == 206
            done = done if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    report(f"fetching {what}", done, package.size)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing behind what is here: the file there is shorter than ours
            raise _no_network(index, what, error) from error
        part.unlink()
        raise _other_file(package, index) from error
    except _NETWORK_ERRORS as error:
        raise _no_network(index, what, error) from error
    if done < package.size:
        raise LabError(
            f"the download of {what} broke off at {done:,} of {package.size:,} bytes; run "
            "`labkit assets fetch` again, it goes on from there"
        )


def file_url(package: Package, index: str, what: str, patience_s: float = PATIENCE_S) -> str:
    """Address of the file, from the project's page in the package index (PEP 503).

    Raises:
        LabError: if the index does not answer in time, or does not offer the file.
    """
    page_url = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', package.project).lower()}/"
    try:
        request = urllib.request.Request(page_url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=patience_s) as response:
            page = response.read().decode("utf-8", errors="replace")
    except _NETWORK_ERRORS as error:
        raise _no_network(index, what, error) from error
    for link in re.findall(r'href="([^"]+)"', page):
        address = html.unescape(link)
        if address.partition("#")[0].rsplit("/", 1)[-1] == package.filename:
            return urljoin(page_url, address.partition("#")[0])
    raise LabError(
        f"the index {index} does not offer {package.filename}; set PIP_INDEX_URL to one that does "
        f"(for example {DEFAULT_INDEX})"
    )


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _other_file(package: Package, index: str) -> LabError:
    return LabError(
        f"{package.filename} from {index} is not the file that was tested (its sha256 or size "
        "differs); try again later, or set PIP_INDEX_URL to another index"
    )


def _no_network(index: str, what: str, error: Exception) -> LabError:
    reason = " ".join(str(error).split())  # on one line
    return LabError(
        f"{what} can't be fetched from {index} ({reason}); check the network or set "
        "PIP_INDEX_URL, then run `labkit assets fetch` again (it goes on where it stopped)"
    )
