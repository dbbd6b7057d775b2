"""Refuse every connection that would leave the machine, and remember who tried.

A library may swallow the error and go on, so the attempts are kept: the test that made one fails.
"""

import ipaddress
import socket

attempts: list[str] = []

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


class LeftTheMachine(OSError):
    """Something tried to reach another machine."""


def close() -> None:
    """From now on this process reaches loopback addresses and Unix sockets, and nothing else."""
    socket.socket.connect = _guarded_connect
    socket.socket.connect_ex = _guarded_connect_ex
    socket.getaddrinfo = _guarded_getaddrinfo


def _guarded_connect(self: socket.socket, address: object) -> None:
    _refuse_elsewhere(self, address)
    _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: object) -> int:
    _refuse_elsewhere(self, address)
    return _connect_ex(self, address)


def _guarded_getaddrinfo(host: str | bytes | None, *rest: object, **named: object) -> list:
    if not _is_here(host):
        _refuse(f"looked up {host!r}")
    return _getaddrinfo(host, *rest, **named)


def _refuse_elsewhere(connection: socket.socket, address: object) -> None:
    if connection.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
        _refuse(f"connected to {address[0]!r}")


def _refuse(attempt: str) -> None:
    attempts.append(attempt)
    raise LeftTheMachine(f"{attempt}, but tests use this machine alone")


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
