"""What would make ten containers restart in a loop, said before the first one starts: the thing, and the remedy."""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from millstream.devstack import ports, processes, state
from millstream.devstack.errors import StateError

from . import engine, ways
from .engine import Container, Mounted, Wanted
from .errors import ComposeError, ModelError

OLDEST_COMPOSE = (2, 24)
"""The first that reads everything these files have."""
LEAST_MEMORY = 6_000_000_000
"""Bytes: what the containers may take together (5 GB), and room for the engine's own."""

AIRFLOW_VARIABLES = ("AIRFLOW_UID", "AIRFLOW_EXECUTOR", "COMPOSE_PROFILES", "AIRFLOW_IMAGE_NAME")
MOST_FILES = 500
"""Of one mounted folder that are looked at."""

# The variable that moves a service's port.
PORT_VARIABLES = {
    "airflow-apiserver": "AIRFLOW_PORT",
    "cassandra": "CASSANDRA_PORT",
    "consumer": "CONSUMER_PORTS",
    "kafka": "KAFKA_PORT",
    "kafka-ui": "KAFKA_UI_PORT",
    "postgres": "POSTGRES_PORT",
    "schema-registry": "SCHEMA_REGISTRY_PORT",
}
# Read from .env by Compose itself, whatever the files say.
_FOREIGN_PREFIXES = ("COMPOSE_",)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ASSIGNMENT = re.compile(rf"(?:export\s+)?({_NAME})\s*=\s*(.*)")
_EXAMPLE = re.compile(rf"^#?({_NAME})=", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with its remedy."""

    text: str
    fatal: bool = True
    """Whether the start would fail; else it is worth knowing."""


def run() -> list[Finding]:
    """Everything that can be told now; what cannot be asked because of an earlier finding is left out."""
    findings = list(of_dot_env(_text(engine.ROOT / ".env"), _text(engine.ROOT / ".env.example") or ""))
    findings += of_airflow(*(_value(name) for name in AIRFLOW_VARIABLES))
    try:
        told = engine.engine()
        findings += of_memory(told.memory_bytes)
        findings += (old := of_compose(engine.compose_version()))
    except ComposeError as error:
        return [*findings, Finding(str(error))]
    if old:
        return findings
    try:
        model = engine.model()
        running = engine.containers()
    except ModelError as error:
        return [*findings, Finding(f"{error}; mend it, or set the variable in .env")]
    findings += of_secrets(model.secrets)
    findings += of_ports(model.wanted, running, is_free, _holder)
    findings += of_missing(model.mounted, model.secrets)
    if sys.platform == "linux" and not told.rootless:
        # Elsewhere the engine maps every file to whoever reads it.
        findings += of_readers(model.mounted, _value("AIRFLOW_UID"))
    return findings


def of_airflow(uid: str | None, executor: str | None, profiles: str | None, image: str | None) -> list[Finding]:
    """Values of Airflow's variables with which it would not run, or would run as nobody means it; None: not set."""
    findings = []
    if uid is not None and not (uid.isascii() and uid.isdigit() and int(uid) > 0):
        findings.append(Finding(f"AIRFLOW_UID is {uid}: give the number of an account that is not root, or delete it"))
    if executor and "Celery" in executor and "celery" not in re.split(r"[,\s]+", profiles or ""):
        findings.append(
            Finding("AIRFLOW_EXECUTOR=CeleryExecutor without workers leaves every task queued: COMPOSE_PROFILES=celery")
        )
    if image and re.match(r"(docker\.io/)?apache/airflow[:@]", image):
        findings.append(
            Finding(
                f"AIRFLOW_IMAGE_NAME is {image}, which has no wheel of Millstream: "
                "delete it; what ours is built on is AIRFLOW_IMAGE"
            )
        )
    return findings


def of_missing(mounted: Iterable[Mounted], secrets: Mapping[str, Path]) -> list[Finding]:
    """Folders and files that containers look into and that are not there: Docker would make empty folders of root's."""
    told = set(secrets.values())
    findings: dict[Path, Finding] = {}
    for mount in mounted:
        if mount.source in told or mount.source.exists():
            continue
        remedy = (
            "make it, or set AIRFLOW_PROJ_DIR to the folder that has it" if mount.source.name == "dags" else "make it"
        )
        findings.setdefault(
            mount.source, Finding(f"{mount.service} needs {mount.source}, which is not there: {remedy}")
        )
    return list(findings.values())


def of_memory(memory_bytes: int) -> list[Finding]:
    """Too little memory for the engine: containers would be killed one after another."""
    if memory_bytes >= LEAST_MEMORY:
        return []
    have, need = memory_bytes / 1e9, LEAST_MEMORY / 1e9
    return [
        Finding(
            f"Docker has {have:.1f} GB of memory and {need:.0f} are needed: "
            "give it more (Docker Desktop: Settings, Resources)"
        )
    ]


def of_compose(version: tuple[int, ...]) -> list[Finding]:
    """A Compose that does not know all that the files use."""
    if version >= OLDEST_COMPOSE:
        return []
    have, need = (".".join(map(str, number)) for number in (version, OLDEST_COMPOSE))
    return [Finding(f"Docker Compose {have} is too old, {need} is needed: update docker-compose-plugin")]


def of_dot_env(text: str | None, example: str) -> list[Finding]:
    """Names in `.env` that nothing reads, and values that are empty. No `.env` at all is fine."""
    known = set(_EXAMPLE.findall(example))
    findings = []
    for number, line in enumerate((text or "").splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        found = _ASSIGNMENT.fullmatch(content)
        if found is None:
            findings.append(Finding(f".env line {number} is no NAME=value: mend it, or begin it with #"))
            continue
        name, value = found.groups()
        if name in known:
            if not value.partition(" #")[0].strip(" \t'\""):
                findings.append(Finding(f".env line {number}: {name} is empty: give it a value, or delete the line"))
        elif not name.startswith(_FOREIGN_PREFIXES):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else ".env.example names those that are"
            findings.append(Finding(f".env line {number}: nothing reads {name}; {hint}", fatal=bool(near)))
    return findings


def of_secrets(secrets: Mapping[str, Path]) -> list[Finding]:
    """Files that hold a password and cannot be read, or hold none."""
    findings = []
    for name, path in sorted(secrets.items()):
        variable = f"{name.upper()}_FILE"
        try:
            empty = not path.read_bytes().strip()
        except OSError as error:
            findings.append(
                Finding(f"the secret {name} cannot be read: {path}: {error.strerror}: make the file, or set {variable}")
            )
            continue
        if empty:
            findings.append(
                Finding(f"the secret {name} is empty: {path}: write the password into it, or set {variable}")
            )
    return findings


def of_ports(
    wanted: Iterable[Wanted],
    containers: Iterable[Container],
    free: Callable[[str, int], bool],
    holder: Callable[[int], str | None],
) -> list[Finding]:
    """Ports that somebody else listens on. What a service's own containers hold is its own."""
    ours = {port.port: one.service for one in containers if one.state == "running" for port in one.published}
    promised: dict[int, str] = {}
    findings = []
    for want in wanted:
        first, last = want.ports[0], want.ports[-1]
        variable = PORT_VARIABLES.get(want.service)
        remedy = f"free it, or choose another by {variable} in .env" if variable else "free it"
        if first == last and promised.setdefault(first, want.service) != want.service:
            findings.append(Finding(f"{want.service}: port {first} is {promised[first]}'s, too: {remedy}"))
        elif not any(ours[port] == want.service if port in ours else free(want.address, port) for port in want.ports):
            shown = f"port {first} is" if first == last else f"ports {first} to {last} are all"
            by = f"the container of {ours[first]}" if first in ours else holder(first)
            findings.append(Finding(f"{want.service}: {shown} taken{f' (by {by})' if by else ''}: {remedy}"))
    return findings


def of_readers(mounted: Iterable[Mounted], airflow_uid: str | None) -> list[Finding]:
    """Files that the user of a container may not read: on Linux they keep their owner and mode inside of it."""
    findings: dict[Path, Finding] = {}
    for mount in mounted:
        refused = next((path for path in _inside(mount.source) if not _readable(path, mount.user, mount.group)), None)
        if refused is None or refused in findings:
            continue
        remedy = f"chmod o+r{'x' if refused.is_dir() else ''} {refused}"
        if mount.service.startswith("airflow") and not airflow_uid:
            remedy += f", or put AIRFLOW_UID={os.getuid()} into .env"
        findings[refused] = Finding(f"{mount.service} runs as user {mount.user}, who may not read {refused}: {remedy}")
    return list(findings.values())


def _inside(source: Path) -> list[Path]:
    """A file, or a folder and what is in it; nothing where it is missing, which is told elsewhere."""
    if not source.exists():
        return []
    return [source, *(sorted(source.rglob("*"))[:MOST_FILES] if source.is_dir() else ())]


def _readable(path: Path, user: int, group: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return True
    shift = 6 if found.st_uid == user else 3 if found.st_gid == group else 0
    wanted = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
    return (found.st_mode >> shift) & wanted == wanted


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        ports.try_to_listen(host, port)
    except PermissionError:
        # Docker's daemon may take what we may not.
        return True
    except OSError:
        return False
    return True


def _holder(port: int) -> str | None:
    """Who listens on a port, where that is one of ours or a container; else None."""
    try:
        servers = state.load(ways.devstack_folder())
    except StateError:
        servers = {}
    for name, server in servers.items():
        if port in server.ports.values() and server.process is not None and processes.is_alive(server.process):
            return f"devstack's {name}, which `make down VIA=devstack` stops"
    try:
        container = engine.publishes(port)
    except ComposeError:
        return None
    return f"the container {container}" if container else None


def _value(name: str) -> str | None:
    """A variable as Compose sees it: the environment's comes before the one in `.env`."""
    if value := os.environ.get(name):
        return value
    for line in (_text(engine.ROOT / ".env") or "").splitlines():
        found = _ASSIGNMENT.fullmatch(line.strip())
        if found and found[1] == name:
            return found[2].partition(" #")[0].strip(" \t'\"") or None
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
