"""Brings the servers of one folder up and down."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from . import artifacts, ports, processes, readiness, state, toolchain
from .errors import DevstackError, NotReadyError, StartError, StateError
from .kafka_protocol import NewTopic, TopicOutcome
from .servers import SERVERS, Instance
from .state import ServerState
from .topics import TOPICS

ALL_SERVICES: tuple[str, ...] = tuple(SERVERS)

_PROBE_SECONDS = 1.0
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 15
_LOG_BYTES_KEPT = 16 * 1024 * 1024
# What is started together waits for the slowest, on a busy machine; so another command waits as long.
_START_SECONDS = 300.0
_LOCK_SECONDS = 600.0
_INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "JAVA_TOOL_OPTIONS")


@dataclass(frozen=True)
class ServiceStatus:
    """One server as it is now."""

    name: str
    health: str
    """`ready`, `stopped` (on purpose), `dead` (ended by itself or was killed), or `not ready: <why>`."""
    version: str
    address: str
    pid: int | None
    resident_bytes: int

    @property
    def ready(self) -> bool:
        """Whether it serves clients."""
        return self.health == "ready"


class Devstack:
    """The servers of one folder. Every call reads the folder anew, so several programs may use it in turn.

    Args:
        directory: Where data, configuration and logs are kept.
        services: Which servers `up` starts; those they need are started with them.
        free_ports: Take free ports even where the usual ones are free (for tests beside a running stack).
        heap: Largest Java heap by server, as Java writes it (`{"kafka": "1g"}`).
        settings: Extra settings by server, in the server's own names.
        cache: Where fetched files are kept; default `MILLSTREAM_CACHE` or the user's cache folder.
        report: Takes one line of progress at a time; nothing is said by default.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = ".devstack",
        *,
        services: Iterable[str] = ALL_SERVICES,
        free_ports: bool = False,
        heap: Mapping[str, str] | None = None,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        cache: str | os.PathLike[str] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.directory = _usable(Path(directory).absolute())
        self.services = with_dependencies(services)
        self.free_ports = free_ports
        self._heap = dict(heap or {})
        self._settings = {name: dict(values) for name, values in (settings or {}).items()}
        for name in (*self._heap, *self._settings):
            check_service(name)
        for name in self._heap:
            if not SERVERS[name].default_heap:
                raise DevstackError(f"{name} has no Java heap to set")
        self._cache = artifacts.default_cache() if cache is None else Path(cache).absolute()
        self._report = report or _silent

    def __enter__(self) -> Devstack:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self, *, timeout: float = _START_SECONDS) -> bool:
        """Start what does not run and wait until every server of the stack serves; False when nothing was to do.

        `timeout` counts seconds from the last fetched file to the last server that is ready. On failure what
        this call started is stopped again. Raises StartError with the end of the server's log, FetchError,
        MissingToolError.
        """
        with state.locked(self.directory, _LOCK_SECONDS):
            servers = state.load(self.directory)
            missing = [name for name in self.services if not _runs(servers.get(name))]
            if missing:
                self._start(servers, missing, timeout)
            else:
                self._await_ready(servers, self.services, time.monotonic() + timeout)
            for name in self.services:
                if name not in missing and self._wants_other_options(name, servers[name]):
                    self._report(f"{name}: runs with other options; they are taken at its next start")
        return bool(missing)

    def down(self, *, purge: bool = False) -> list[str]:
        """Stop every server this folder started and say which; what is gone already is passed over.

        `purge` deletes the folder too, unless it holds nothing of a stack.
        """
        if not state.exists(self.directory):
            return []
        with state.locked(self.directory, _LOCK_SECONDS):
            servers = state.load(self.directory)
            stopped = self._stop(servers, [name for name in reversed(ALL_SERVICES) if name in servers])
            if purge:
                # Only what the stack made: the folder is the user's choice and may hold more.
                for name in (*ALL_SERVICES, "logs"):
                    shutil.rmtree(self.directory / name, ignore_errors=True)
                state.remove(self.directory)
        if purge and not any(self.directory.iterdir()):
            self.directory.rmdir()
        return stopped

    def start(self, *names: str, timeout: float = _START_SECONDS) -> None:
        """Start these servers, those they need among them, and wait until they serve."""
        wanted = with_dependencies(names)
        with state.locked(self.directory, _LOCK_SECONDS):
            servers = state.load(self.directory)
            missing = [name for name in wanted if not _runs(servers.get(name))]
            self._start(servers, missing, timeout)
            self._await_ready(servers, wanted, time.monotonic() + timeout)

    def stop(self, *names: str) -> None:
        """Stop these servers the orderly way; ports and data stay theirs."""
        for name in names:
            check_service(name)
        with state.locked(self.directory, _LOCK_SECONDS):
            servers = state.load(self.directory)
            self._stop(servers, [name for name in names if name in servers])

    def restart(self, *names: str, timeout: float = _START_SECONDS) -> None:
        """Stop these servers and start them on the same ports and data."""
        self.stop(*names)
        self.start(*names, timeout=timeout)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one server: SIGSTOP, SIGCONT and SIGKILL are what fault tests use.

        Raises StateError when it does not run. After SIGKILL returns once the process is gone.
        """
        server = self._server(name)
        if server.process is None or not processes.send_signal(server.process, number):
            raise StateError(f"{name} does not run in {self.directory}")
        if number == signal.SIGKILL and not processes.wait_gone(server.process, 10.0):
            raise StateError(f"{name} (process {server.process.pid}) outlived SIGKILL by 10 s")

    def status(self) -> list[ServiceStatus]:
        """Every server this folder knows, asked in its own protocol; None of them waits over a second."""
        servers = state.load(self.directory)
        return [_status(name, servers[name]) for name in ALL_SERVICES if name in servers]

    def env(self) -> dict[str, str]:
        """The variables that tell programs and tests where the servers are, whether or not they run now."""
        servers = state.load(self.directory)
        found: dict[str, str] = {}
        for name in ALL_SERVICES:
            if name in servers:
                found.update(SERVERS[name].environment(servers[name].ports))
        return found

    def address(self, name: str) -> str:
        """Where clients reach this server; StateError when the folder does not know it."""
        return SERVERS[name].address(self._server(name).ports)

    def pid(self, name: str) -> int | None:
        """The process id of this server while it runs."""
        process = self._server(name).process
        return process.pid if process is not None and processes.is_alive(process) else None

    def log(self, name: str) -> Path:
        """The file with this server's output."""
        check_service(name)
        return self.directory / "logs" / f"{name}.log"

    def create_topics(self, topics: Collection[NewTopic] = TOPICS) -> list[TopicOutcome]:
        """Create topics in the stack's Kafka; one that exists is left as it is."""
        return readiness.create_topics(self._server("kafka").ports["client"], list(topics))

    def _server(self, name: str) -> ServerState:
        check_service(name)
        servers = state.load(self.directory)
        if name not in servers:
            raise StateError(f"{name} was never started in {self.directory}: run `up` first")
        return servers[name]

    def _start(self, servers: dict[str, ServerState], names: list[str], timeout: float) -> None:
        if not names:
            return
        toolchain.require_linux()
        java = toolchain.java()
        files = {name: artifacts.fetch(SERVERS[name].release(), self._cache, self._report) for name in names}
        deadline = time.monotonic() + timeout
        self._assign_ports(servers, names)
        started: list[str] = []
        try:
            waiting = list(names)
            while waiting:
                startable = [name for name in waiting if not set(SERVERS[name].depends_on) & set(waiting)]
                for name in startable:
                    self._await_ready(servers, SERVERS[name].depends_on, deadline)
                    # Listed before it is spawned: an interrupt in between must stop it as well.
                    started.append(name)
                    self._spawn(servers, name, files[name], java)
                    waiting.remove(name)
            self._await_ready(servers, names, deadline)
        except BaseException:
            self._stop(servers, list(reversed(started)), grace=5.0)
            raise

    def _wants_other_options(self, name: str, running: ServerState) -> bool:
        return self._heap.get(name, running.heap) != running.heap or (
            self._settings.get(name, running.settings) != running.settings
        )

    def _assign_ports(self, servers: dict[str, ServerState], names: list[str]) -> None:
        taken = {port for server in servers.values() for port in server.ports.values()}
        for name in names:
            server, known = SERVERS[name], servers.get(name)
            assigned: dict[str, int] = {}
            for port_name, usual in server.usual_ports.items():
                before = known.ports.get(port_name) if known else None
                if before is not None and ports.is_free(before):
                    assigned[port_name] = before
                    continue
                assigned[port_name] = ports.choose(usual, taken, always_free=self.free_ports)
                taken.add(assigned[port_name])
                wanted = before if before is not None else None if self.free_ports else usual
                if wanted is not None and assigned[port_name] != wanted:
                    self._report(f"{name}: port {wanted} is taken, {assigned[port_name]} is used instead")
            servers[name] = ServerState(
                ports=assigned,
                heap=self._heap.get(name) or (known.heap if known else server.default_heap),
                version=server.release().version,
                settings=self._settings.get(name) or (known.settings if known else {}),
            )

    def _spawn(self, servers: dict[str, ServerState], name: str, files: Path, java: str) -> None:
        entry = servers[name]
        instance = Instance(
            home=self.directory / name,
            files=files,
            java=java,
            ports=entry.ports,
            heap=entry.heap,
            settings=entry.settings,
            peers={peer: servers[peer].ports for peer in SERVERS[name].depends_on},
        )
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_BYTES_KEPT:
            log.replace(log.with_suffix(".log.1"))
        SERVERS[name].prepare(instance)
        command = SERVERS[name].command(instance)
        entry.process = processes.spawn(command.argv, log, {**_inherited_environment(), **command.environment})
        state.save(self.directory, servers)

    def _await_ready(self, servers: dict[str, ServerState], names: Iterable[str], deadline: float) -> None:
        waiting = list(names)
        while waiting:
            name = waiting[0]
            entry = servers[name]
            if not _runs(entry):
                raise StartError(f"{name} ended while it was starting\n{self._log_tail(name)}")
            try:
                SERVERS[name].probe(entry.ports, _PROBE_SECONDS)
            except NotReadyError as error:
                if time.monotonic() > deadline:
                    raise StartError(f"{name} does not serve in time: {error}\n{self._log_tail(name)}") from error
                # Another one that ended is told at once, not after the slowest is ready.
                waiting = [*waiting[1:], name]
                time.sleep(_POLL_SECONDS)
            else:
                waiting.remove(name)

    def _stop(self, servers: dict[str, ServerState], names: list[str], grace: float | None = None) -> list[str]:
        stopped = []
        for name in names:
            process = servers[name].process
            if process is None:
                continue
            server = SERVERS[name]
            seconds = server.stop_grace if grace is None else grace
            if processes.terminate(process, server.stop_signal, grace=seconds):
                stopped.append(name)
            servers[name].process = None
            state.save(self.directory, servers)
        return stopped

    def _log_tail(self, name: str) -> str:
        lines = tail(self.log(name), _LOG_TAIL_LINES)
        return "\n".join((f"the end of {self.log(name)}:", *(f"  {line}" for line in lines)))


def check_service(name: str) -> None:
    """Raise DevstackError unless there is such a server."""
    if name not in SERVERS:
        raise DevstackError(f"there is no service {name!r}; choose from {', '.join(ALL_SERVICES)}")


def with_dependencies(names: Iterable[str]) -> tuple[str, ...]:
    """These servers and those they need, in the order all are shown in."""
    wanted: set[str] = set()
    for name in names:
        check_service(name)
        wanted |= {name, *SERVERS[name].depends_on}
    return tuple(name for name in ALL_SERVICES if name in wanted)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no such file. Reads its last 64 KiB at most."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 65_536))
            return log.read().decode("utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def _inherited_environment() -> dict[str, str]:
    """What a server gets of the caller's environment: not its secrets, and nothing that would configure it."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # Java takes the encoding of file names from the locale, and the folder may be named in any letters.
    return {**inherited, "LC_ALL": "C.UTF-8"}


def _usable(folder: Path) -> Path:
    # Kafka parts its folders at commas, Java its class path at colons; neither can be escaped.
    if any(character in str(folder) for character in ",:\n"):
        raise DevstackError(f"{str(folder)!r} cannot hold the servers: Java parts paths at commas and colons")
    return folder


def _silent(line: str) -> None:
    """Says nothing."""
    del line


def _runs(server: ServerState | None) -> bool:
    return server is not None and server.process is not None and processes.is_alive(server.process)


def _status(name: str, entry: ServerState) -> ServiceStatus:
    if entry.process is None:
        health = "stopped"
    elif not processes.is_alive(entry.process):
        health = "dead"
    else:
        try:
            SERVERS[name].probe(entry.ports, _PROBE_SECONDS)
            health = "ready"
        except NotReadyError as error:
            health = f"not ready: {error}"
    alive = entry.process if health not in ("stopped", "dead") else None
    return ServiceStatus(
        name=name,
        health=health,
        version=entry.version,
        address=SERVERS[name].address(entry.ports),
        pid=alive.pid if alive else None,
        resident_bytes=processes.resident_bytes(alive) if alive else 0,
    )
