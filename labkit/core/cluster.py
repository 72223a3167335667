"""A Ray cluster: found and connected to, or refused within a minute."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import ModuleType

from labkit.core import assets
from labkit.core.errors import LabError


def installed() -> ModuleType:
    """Ray itself.

    Raises:
        LabError: if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise LabError(
            'Ray is not installed; run pip install -c requirements.lock -e ".[cluster]" in the '
            "checkout, or use --engine local"
        ) from error
    return ray


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a gRPC client begins (RFC 9113, section 3.4): the magic line and empty settings."""


def _reach(address: str) -> None:
    """Raise OSError where no gRPC server answers: Ray itself would try again for many minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise OSError("it is not host:port")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as knock:
        knock.sendall(_PREFACE)
        answer = knock.recv(9)
    plain, encrypted = answer[3:4] == b"\x04", answer[:1] == b"\x15"  # settings, or a TLS alert
    if not (plain or encrypted):
        raise OSError("what listens there is not Ray")


@contextlib.contextmanager
def connected(ray: ModuleType, address: str | None) -> Iterator[None]:
    """Within the block Ray is connected to that cluster; None: ``RAY_ADDRESS``, or one of our own.

    Raises:
        LabError: within a minute, if no cluster answers there.
    """
    # Ray's own default would be the latest cluster of this machine, even one that is gone
    where = address or assets.ray_address() or "local"
    try:
        _reach(where)
        ray.init(address=where, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    except Exception as error:  # Ray raises that very class where its processes don't start
        why = (str(error) or type(error).__name__).splitlines()[0]
        if where == "local":
            raise LabError(
                f"Ray does not start on this machine ({why}); try again when it is less busy, or "
                "use --engine local"
            ) from error
        raise LabError(
            f"no Ray cluster answers at {where} ({why}); give the address that `ray start` printed "
            "as --address or RAY_ADDRESS"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
