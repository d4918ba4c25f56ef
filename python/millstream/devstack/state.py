"""What a stack's folder remembers: each server's ports, options and process."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import StateError
from .processes import ProcessIdentity

_VERSION = 1
_FILE = "state.json"
_LOCK = ".lock"


@dataclass
class ServerState:
    """One server of the stack, running or not."""

    ports: dict[str, int]
    heap: str
    version: str
    settings: dict[str, str] = field(default_factory=dict)
    process: ProcessIdentity | None = None
    """Who was started last; None once it was stopped on purpose."""


def encode(servers: dict[str, ServerState]) -> str:
    """The text of the state file."""
    entries: dict[str, Any] = {}
    for name, server in servers.items():
        process = server.process
        entries[name] = {
            "ports": server.ports,
            "heap": server.heap,
            "version": server.version,
            "settings": server.settings,
            "process": None if process is None else vars(process),
        }
    return json.dumps({"version": _VERSION, "servers": entries}, indent=2) + "\n"


def decode(text: str) -> dict[str, ServerState]:
    """The servers in the text of a state file; ValueError when it is not one of ours."""
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError(f"version {document['version']!r}, this program knows {_VERSION}")
        servers = {}
        for name, entry in document["servers"].items():
            process = entry["process"]
            servers[name] = ServerState(
                ports={key: int(port) for key, port in entry["ports"].items()},
                heap=str(entry["heap"]),
                version=str(entry["version"]),
                settings={key: str(value) for key, value in entry["settings"].items()},
                process=None
                if process is None
                else ProcessIdentity(int(process["pid"]), int(process["start_ticks"]), str(process["boot_id"])),
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a part is missing or of the wrong kind: {error}") from error
    return servers


def exists(folder: Path) -> bool:
    """Whether this is a stack's folder."""
    return (folder / _FILE).is_file()


def load(folder: Path) -> dict[str, ServerState]:
    """The servers this folder remembers; none when there is no state yet. StateError when it cannot be read."""
    path = folder / _FILE
    try:
        return decode(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read ({error}); end its servers by hand and delete the file") from error


def save(folder: Path, servers: dict[str, ServerState]) -> None:
    """Replace the state in one step: a reader sees the old or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    building = folder / f"{_FILE}.{os.getpid()}"
    building.write_text(encode(servers), encoding="utf-8")
    building.replace(path)


@contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the folder against other commands; StateError when another one keeps it for so many seconds."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise StateError(f"{folder} cannot be used: {error.strerror}; choose another with --dir") from error
    with lock:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StateError(f"another command has been at work on {folder} for {seconds:.0f} s") from None
                time.sleep(0.05)
        yield


def remove(folder: Path) -> None:
    """Forget the folder's servers. Called with the lock held; the lock's file goes too."""
    for name in (_FILE, _LOCK):
        (folder / name).unlink(missing_ok=True)
