"""What several test files share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's folder."""
    return ROOT


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Cuts this process off: names do not resolve and no connection opens, loopback included.

    Yields the list of what was tried, so that a test can also ask for no attempt at all: code that
    catches the error and falls back to a cache would otherwise pass for code that needs no network.
    A child process is not cut off.
    """
    attempts: list[str] = []

    def refuse(*args: object, **_: object) -> None:
        target = next((a for a in args if not isinstance(a, socket.socket)), "?")
        attempts.append(str(target))
        raise OSError(f"the network is off in this test, and {target} was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    yield attempts
