"""What a server of the stack is."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..ports import HOST
from ..versions import Release


@dataclass(frozen=True)
class Command:
    """A program with its arguments and what it gets in its environment over the caller's."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One server of one stack: all it needs to be configured and started."""

    home: Path
    """Its configuration and data. Absolute."""
    files: Path
    """Its unpacked release in the cache."""
    java: str
    ports: Mapping[str, int]
    heap: str
    """Largest Java heap, as Java writes it (`768m`)."""
    settings: Mapping[str, str]
    """Extra settings in the server's own names; they win over ours."""
    peers: Mapping[str, Mapping[str, int]]
    """The ports of the servers this one depends on, by server."""


class Server(ABC):
    """How one server is configured, started and asked. Holds no state: that is the instance's."""

    name: ClassVar[str]
    usual_ports: ClassVar[Mapping[str, int | None]]
    """Port names -> the port users look for first, None where nobody looks. `client` is the one clients use."""
    depends_on: ClassVar[tuple[str, ...]] = ()
    default_heap: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_grace: ClassVar[float] = 30.0
    """Seconds from the stop signal to SIGKILL."""

    @abstractmethod
    def release(self) -> Release:
        """The pinned release; MissingToolError where there is none for this machine."""

    @abstractmethod
    def prepare(self, instance: Instance) -> None:
        """Write the configuration and, the first time, the empty store. Safe to repeat."""

    @abstractmethod
    def command(self, instance: Instance) -> Command:
        """The program to start."""

    @abstractmethod
    def probe(self, ports: Mapping[str, int], seconds: float) -> None:
        """NotReadyError unless the server serves clients; takes at most about so many seconds."""

    @abstractmethod
    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        """The variables that tell programs and tests where the server is."""

    def address(self, ports: Mapping[str, int]) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{ports['client']}"


def java_command(instance: Instance, options: tuple[str, ...], main: tuple[str, ...]) -> tuple[str, ...]:
    """A Java command line with what all our servers share."""
    shared = (
        f"-Xmx{instance.heap}",
        "-Djava.awt.headless=true",
        "-XX:+UseG1GC",
        # A heap that is full ends the process: a server that limps on would only look healthy.
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={instance.home}/hs_err_%p.log",
    )
    return (instance.java, *shared, *options, *main)
