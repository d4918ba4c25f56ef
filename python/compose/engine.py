"""Questions to the Docker engine, by its command line. Each is bounded in time, and none changes anything."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ComposeError, ModelError, NoEngineError, SlowError

ROOT = Path(__file__).resolve().parents[2]

_SECONDS = 20.0
_INSTALL = "https://docs.docker.com/engine/install"
# Everything that belongs to the project, whichever profile started it.
_ALL_PROFILES = ("--profile", "*")


@dataclass(frozen=True)
class Published:
    """One port of a container that the host reaches."""

    address: str
    port: int
    target: int


@dataclass(frozen=True)
class Container:
    """One container of the project as the engine sees it now."""

    id: str
    service: str
    number: int
    """Counts the containers of a service from 1."""
    image: str
    state: str
    """Docker's word: `running`, `exited`, `restarting`, `created`, `paused`, `dead`."""
    health: str
    """Docker's word: `healthy`, `starting`, `unhealthy`; empty without a health check."""
    exit_code: int
    published: tuple[Published, ...]


@dataclass(frozen=True)
class Engine:
    """What `docker info` says, as far as it matters here."""

    memory_bytes: int
    version: str
    rootless: bool = False
    """Whether the engine runs as an ordinary user, who maps every account of a container to one of its own."""


@dataclass(frozen=True)
class Wanted:
    """A port that the files publish."""

    service: str
    address: str
    ports: range
    """One port, or those that Docker may choose from."""


@dataclass(frozen=True)
class Mounted:
    """A file or folder of the host that a service reads, as the user it runs as."""

    service: str
    user: int
    group: int
    source: Path


@dataclass(frozen=True)
class Model:
    """The project as the files and the environment make it."""

    name: str
    services: tuple[str, ...]
    one_shots: frozenset[str]
    """Services that others wait for to have ended."""
    wanted: tuple[Wanted, ...]
    secrets: dict[str, Path]
    mounted: tuple[Mounted, ...]
    """Secrets among them; what services read whose user the files do not name is left out."""


def engine() -> Engine:
    """What the daemon says about itself; NoEngineError when it does not answer."""
    info = json.loads(_docker(["info", "--format", "{{json .}}"]))
    # A command without its daemon answers half and names what is missing.
    if errors := info.get("ServerErrors"):
        raise _explained(str(errors[0]))
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    return Engine(int(info.get("MemTotal", 0)), str(info.get("ServerVersion", "?")), rootless)


def compose_version() -> tuple[int, ...]:
    """The version of Docker Compose, as numbers; NoEngineError when the plugin is missing."""
    text = _docker(["compose", "version", "--short"])
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        raise ComposeError(f"Docker Compose has a version that cannot be read: {text.strip()!r}")
    return tuple(int(part) for part in found.groups(default="0"))


def model(root: Path = ROOT) -> Model:
    """The project; ModelError when the files or `.env` have a fault."""
    return read_model(_compose(["config", "--format", "json"], root))


def containers(root: Path = ROOT) -> list[Container]:
    """The project's containers, running or not, by service and number."""
    return read_containers(_compose([*_ALL_PROFILES, "ps", "--all", "--format", "json"], root))


def has_volumes(project: str) -> bool:
    """Whether data of the project is kept."""
    return bool(_docker(["volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}"]).strip())


def publishes(port: int) -> str | None:
    """The container that holds a port of the host; None when none does."""
    names = _docker(["ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]).split()
    return names[0] if names else None


def last_words(container: str) -> str:
    """The last line that a container wrote; empty when it wrote none."""
    lines = _docker(["logs", "--tail", "5", container], both=True).strip().splitlines()
    return lines[-1].strip() if lines else ""


def last_check(container: str) -> str:
    """The first line that a container's last health check printed; empty when it printed none."""
    text = _docker(["inspect", "--format", "{{json .State.Health}}", container])
    health = json.loads(text) or {}
    log = health.get("Log") or [{}]
    lines = str(log[-1].get("Output", "")).strip().splitlines()
    return lines[0] if lines else ""


def read_model(text: str) -> Model:
    """The project from what `docker compose config --format json` prints."""
    document: dict[str, Any] = json.loads(text)
    services: dict[str, Any] = document.get("services") or {}
    one_shots = {
        name
        for service in services.values()
        for name, need in (service.get("depends_on") or {}).items()
        if need.get("condition") == "service_completed_successfully"
    }
    wanted = tuple(
        Wanted(name, port.get("host_ip") or "0.0.0.0", _range(str(port["published"])))  # noqa: S104 - Docker's default
        for name, service in services.items()
        for port in service.get("ports") or ()
        if port.get("published")
    )
    # What is for building alone may be empty.
    used = {one.get("source") for service in services.values() for one in service.get("secrets") or ()}
    building = {
        one.get("source") for service in services.values() for one in (service.get("build") or {}).get("secrets") or ()
    }
    secrets = {
        name: Path(secret["file"])
        for name, secret in (document.get("secrets") or {}).items()
        if secret.get("file") and name not in building - used
    }
    mounted = tuple(one for name, service in services.items() for one in _mounted(name, service, secrets))
    return Model(str(document["name"]), tuple(sorted(services)), frozenset(one_shots), wanted, secrets, mounted)


def _mounted(name: str, service: dict[str, Any], secrets: dict[str, Path]) -> list[Mounted]:
    user = re.fullmatch(r"(\d+)(?::(\d+))?", str(service.get("user") or ""))
    if user is None:
        return []
    sources = [Path(volume["source"]) for volume in service.get("volumes") or () if volume.get("type") == "bind"]
    sources += [secrets[one["source"]] for one in service.get("secrets") or () if one.get("source") in secrets]
    return [Mounted(name, int(user[1]), int(user[2] or 0), source) for source in sources]


def read_containers(text: str) -> list[Container]:
    """The containers from what `docker compose ps --format json` prints."""
    text = text.strip()
    # Compose before 2.21 printed one array, later ones print an object a line.
    entries = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    found = [_container(entry) for entry in entries]
    return sorted(found, key=lambda one: (one.service, one.number))


def _container(entry: dict[str, Any]) -> Container:
    number = re.search(r"-(\d+)$", str(entry["Name"]))
    # While it waits for its next start, the code stands in the words for people alone.
    restarting = re.match(r"Restarting \((\d+)\)", str(entry.get("Status", "")))
    published = {
        Published(str(port.get("URL", "")), int(port["PublishedPort"]), int(port["TargetPort"]))
        for port in entry.get("Publishers") or ()
        if port.get("PublishedPort")
    }
    return Container(
        id=str(entry["ID"]),
        service=str(entry["Service"]),
        number=int(number[1]) if number else 1,
        image=str(entry.get("Image", "")),
        state=str(entry["State"]),
        health=str(entry.get("Health", "")),
        exit_code=int(restarting[1] if restarting else entry.get("ExitCode", 0)),
        published=tuple(sorted(published, key=lambda port: port.port)),
    )


def _range(published: str) -> range:
    first, _, last = published.partition("-")
    return range(int(first), int(last or first) + 1)


def _compose(arguments: Sequence[str], root: Path) -> str:
    return _docker(["compose", "--project-directory", str(root), *arguments], root)


def _docker(arguments: Sequence[str], root: Path | None = None, *, both: bool = False) -> str:
    """What the command prints, with `both` on standard error, too; a ComposeError with its reason when it fails."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=root
        )
    except FileNotFoundError:
        raise NoEngineError(
            f"Docker is not installed: see {_INSTALL}, or run `make up`, which needs no Docker"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlowError(f"Docker did not answer within {_SECONDS:.0f} s: look at its daemon, then try again") from None
    if done.returncode != 0:
        raise _explained(done.stderr)
    return done.stdout + done.stderr if both else done.stdout


def _explained(said: str) -> ComposeError:
    """The reason in Docker's words, with what to do."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # Warnings come first, the fault last.
    last = lines[-1] if lines else "it said nothing"
    if "permission denied" in said and "daemon" in said:
        return NoEngineError("Docker may not be used by this user: `sudo usermod -aG docker $USER`, then log in again")
    if "is not a docker command" in said or "unknown flag" in said or "unknown shorthand flag" in said:
        return NoEngineError(f"Docker Compose is not there: install the package docker-compose-plugin ({_INSTALL})")
    if "Cannot connect to the Docker daemon" in said or "daemon is not running" in said or "docker.sock" in said:
        return NoEngineError("the Docker daemon does not run: start Docker Desktop, or `sudo systemctl start docker`")
    return ModelError(f"Docker refuses: {last}")
