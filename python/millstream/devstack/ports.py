"""Which port a server gets: the usual one where it is free, else one that nothing else will grab."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from .errors import StartError

HOST = "127.0.0.1"

_LOWEST = 20_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_EPHEMERAL_START = 32_768
_TRIES = 500


def try_to_listen(host: str, port: int) -> None:
    """Listens there for a moment, as a server would.

    Raises:
        PermissionError: The port is kept for the superuser.
        OSError: It is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port with connections in TIME_WAIT alone is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    try:
        try_to_listen(HOST, port)
    except OSError:
        return False
    return True


def ephemeral_start(text: str) -> int:
    """First port the kernel gives to outgoing connections, from the text of its setting."""
    try:
        return int(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return _DEFAULT_EPHEMERAL_START


def free_port(taken: Collection[int] = (), *, free: Callable[[int], bool] = is_free) -> int:
    """A port below the ephemeral range, where no outgoing connection lands between now and the server's bind.

    `taken` are ports already promised to others. Raises StartError when none is found.
    """
    try:
        setting = _EPHEMERAL_RANGE.read_text(encoding="ascii")
    except OSError:
        setting = ""
    end = ephemeral_start(setting)
    lowest = _LOWEST if end > _LOWEST + 1000 else 1024
    for _ in range(_TRIES):
        port = random.randrange(lowest, end)  # noqa: S311 - a port is no secret
        if port not in taken and free(port):
            return port
    raise StartError(f"no free port between {lowest} and {end} on {HOST}; stop something that listens there")


def choose(
    usual: int | None,
    taken: Collection[int] = (),
    *,
    always_free: bool = False,
    free: Callable[[int], bool] = is_free,
) -> int:
    """The usual port where it is free and wanted, else any free one."""
    if usual is not None and not always_free and usual not in taken and free(usual):
        return usual
    return free_port(taken, free=free)
