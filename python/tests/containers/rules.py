"""The rules that every service of the compose files keeps, each a function from the files to what breaks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compose.preflight import PORT_VARIABLES

ROOT = Path(__file__).parents[3]
FILES = ("docker-compose.kafka.yaml", "docker-compose.airflow.yaml")
MEBIBYTE = 1 << 20
MOST_MEMORY = 5 * 1024 * MEBIBYTE
# A JVM takes about as much again beside a small heap.
MOST_HEAP = 0.7
# What the consumer takes at most to finish what it has begun: `shutdown.drain`.
DRAIN_SECONDS = 25

_IMAGE = re.compile(r"\$\{(?P<variable>[A-Z_]+_IMAGE(?:_NAME)?):-(?P<name>[^:}]+):(?P<tag>[^}]+)\}")
# Three numbers: two are a tag that moves, but of PostgreSQL, whose versions have two.
_PINNED = re.compile(r"v?\d+\.\d+\.\d+[\w.-]*")
_PINNED_POSTGRES = re.compile(r"\d{2}\.\d+")
# Where a value itself gives a password away.
_SECRET_VALUE = re.compile(r"://[^/@:]*:[^/@]+@|\"password\"|'password'", re.IGNORECASE)
_ASKS_NOTHING = ("true", "echo", "exit 0", ":", "pgrep", "test", "ls", "sleep")
_JVM_IMAGES = ("KAFKA_IMAGE", "CASSANDRA_IMAGE", "SCHEMA_REGISTRY_IMAGE", "KAFKA_UI_IMAGE")
# Kafka tells its clients its port, so the number inside may be the same variable.
_PORT = re.compile(r"127\.0\.0\.1:(?P<host>\$\{(?P<variable>[A-Z_]+):-\d+(?:-\d+)?\}):(?:\d+|(?P=host))")
_SECRET_NAME = re.compile(r"(?:^|_)(?:PASSWORD|SECRET|TOKEN|KEY)(?:_|$)")
# The name says where the secret is, not what it is.
_SECRET_ELSEWHERE = ("_FILE", "__CMD", "_CMD", "_LOCATIONS")
# Airflow's own name for it, from .env; it is set in one container that ends, and in no server.
_AIRFLOW_PASSWORD = ("airflow-init", "_AIRFLOW_WWW_USER_PASSWORD")

Services = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Files:
    """The compose files, put together and not interpolated: `${NAME:-default}` is still to be seen."""

    services: Services
    volumes: frozenset[str]
    secrets: dict[str, str]

    def changed(self, change: Callable[[Services], object]) -> Files:
        """A copy in which something is otherwise."""
        services = copy.deepcopy(self.services)
        change(services)
        return Files(services, self.volumes, self.secrets)


def read() -> Files:
    """The files of this tree."""
    services: Services = {}
    volumes: set[str] = set()
    secrets: dict[str, str] = {}
    for name in FILES:
        document = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        assert not services.keys() & document["services"].keys(), "a service stands in both files"
        services |= document["services"]
        volumes |= set(document.get("volumes") or ())
        secrets |= {key: value["file"] for key, value in (document.get("secrets") or {}).items()}
    return Files(services, frozenset(volumes), secrets)


def one_shots(services: Services) -> set[str]:
    """Services that others wait for to have ended."""
    return {
        name
        for service in services.values()
        for name, need in _needs(service).items()
        if need["condition"] == "service_completed_successfully"
    }


def ours(services: Services) -> set[str]:
    """Services whose image is built here, by them or by another."""
    built = {service["image"] for service in services.values() if "build" in service}
    return {name for name, service in services.items() if service["image"] in built}


def _needs(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    needs = service.get("depends_on") or {}
    assert isinstance(needs, dict), "depends_on is a list: without conditions"
    return needs


def size(text: str) -> int:
    """Bytes of a size as Docker and Java write it."""
    found = re.fullmatch(r"(\d+)([kmg])b?", text.lower())
    assert found, f"{text!r} is no size with a unit"
    return int(found[1]) * {"k": 1 << 10, "m": MEBIBYTE, "g": 1 << 30}[found[2]]


def seconds(text: str) -> int:
    """Seconds of a duration as these files write it."""
    found = re.fullmatch(r"(\d+)(s|m)", text)
    assert found, f"{text!r} is no duration"
    return int(found[1]) * {"s": 1, "m": 60}[found[2]]


def images_are_pinned(files: Files) -> list[str]:
    """Each image has a public, pinned default and a variable for another; ours are built, each by one service."""
    faults = []
    built = ours(files.services)
    for name, service in files.services.items():
        found = _IMAGE.fullmatch(service["image"])
        if found is None:
            faults.append(f"{name}: {service['image']} is not ${{NAME_IMAGE:-name:tag}}")
        elif name not in built and not (_PINNED_POSTGRES if name == "postgres" else _PINNED).fullmatch(found["tag"]):
            faults.append(f"{name}: {found['tag']} is no pinned version")
    return faults


def servers_have_health_checks(files: Files) -> list[str]:
    """Each server has a check that asks it something, with all its times."""
    faults = []
    for name, service in files.services.items():
        check = service.get("healthcheck") or {}
        if name in one_shots(files.services):
            continue
        test = check.get("test")
        if not isinstance(test, list) or test[0] not in ("CMD", "CMD-SHELL"):
            faults.append(f"{name}: no health check")
        elif len(test) < 2 or test[1].strip().startswith(_ASKS_NOTHING):
            faults.append(f"{name}: a check that asks the server nothing: {test}")
        faults += [f"{name}: its check has no {key}" for key in ("interval", "timeout", "retries") if key not in check]
    return faults


def waits_are_for_health(files: Files) -> list[str]:
    """Nothing is started before what it needs serves, or has ended well."""
    faults = []
    ended = one_shots(files.services)
    for name, service in files.services.items():
        for other, need in _needs(service).items():
            wanted = "service_completed_successfully" if other in ended else "service_healthy"
            if need["condition"] != wanted:
                faults.append(f"{name}: waits for {other} by {need['condition']}, not {wanted}")
            if other not in files.services:
                faults.append(f"{name}: waits for {other}, which is no service")
    return faults


def servers_come_back(files: Files) -> list[str]:
    """Servers are started again when they end by themselves, one-shots are not."""
    ended = one_shots(files.services)
    return [
        f"{name}: restart is {service.get('restart')}"
        for name, service in files.services.items()
        if service.get("restart") != ("no" if name in ended else "unless-stopped")
    ]


def resources_are_bounded(files: Files) -> list[str]:
    """Memory and processes of each have a limit; the limits of what runs by default fit together."""
    faults = []
    total = 0
    ended = one_shots(files.services)
    for name, service in files.services.items():
        faults += [f"{name}: no {key}" for key in ("mem_limit", "pids_limit") if key not in service]
        if "mem_limit" in service and "profiles" not in service and name not in ended:
            total += size(service["mem_limit"])
    if total > MOST_MEMORY:
        faults.append(f"together {total // MEBIBYTE} MiB, more than {MOST_MEMORY // MEBIBYTE}")
    return faults


def heaps_are_below_limits(files: Files) -> list[str]:
    """A heap as large as the limit would end in a kill, not in a message."""
    faults = []
    for name, service in files.services.items():
        environment = _environment(service)
        options = " ".join(str(value) for value in environment.values())
        if any(image in service["image"] for image in _JVM_IMAGES) and not (
            "-Xmx" in options or "MAX_HEAP_SIZE" in environment
        ):
            faults.append(f"{name}: its heap has no limit of its own")
        for key, value in [*environment.items(), ("HEAP in command", service.get("command"))]:
            heaps = re.findall(r"-Xmx(\w+)|^(\d+[MGmg])$", str(value)) if "HEAP" in key or "OPT" in key else []
            limit = service["mem_limit"]
            faults += [
                f"{name}: {key}={value} leaves nothing of {limit} beside the heap"
                for first, second in heaps
                if size(first or second) > MOST_HEAP * size(limit)
            ]
    return faults


def data_is_in_named_volumes(files: Files) -> list[str]:
    """Data is in named volumes, and what is mounted from this tree cannot be changed from inside."""
    faults = []
    for name, service in files.services.items():
        for volume in service.get("volumes") or ():
            source = volume.rsplit(":", 2 if volume.endswith((":ro", ":rw")) else 1)[0]
            if source.startswith((".", "$", "/")):
                if not volume.endswith(":ro"):
                    faults.append(f"{name}: {volume} can be written")
                if source.startswith("/"):
                    faults.append(f"{name}: {volume} is a path of one machine")
                if not source.startswith("$") and not (ROOT / source).exists():
                    faults.append(f"{name}: {source} is not there")
            elif source not in files.volumes:
                faults.append(f"{name}: {source} is no volume of the files")
    return faults


def ports_are_local_and_settable(files: Files) -> list[str]:
    """Every port is this machine's alone, with the variable that the preflight names."""
    faults = []
    for name, service in files.services.items():
        for port in service.get("ports") or ():
            found = _PORT.fullmatch(str(port))
            if found is None:
                faults.append(f"{name}: {port} is not 127.0.0.1:${{NAME_PORT:-number}}:number")
            elif PORT_VARIABLES.get(name) != found["variable"]:
                faults.append(f"{name}: {found['variable']}, but the preflight names {PORT_VARIABLES.get(name)}")
    return faults


def rights_are_few(files: Files) -> list[str]:
    """Nobody is root, nobody gains a right, and what we build writes to its own folders only."""
    faults = []
    built = ours(files.services)
    for name, service in files.services.items():
        # What a variable stands for where nobody sets it.
        user = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(service.get("user", "root")))
        if not re.fullmatch(r"[1-9]\d*(:\d+)?", user):
            faults.append(f"{name}: runs as {user}")
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
            faults.append(f"{name}: keeps capabilities")
        if "no-new-privileges:true" not in (service.get("security_opt") or ()):
            faults.append(f"{name}: may gain rights")
        if name in built and service.get("read_only") is not True:
            faults.append(f"{name}: may write to its image's files")
        if "docker.sock" in str(service.get("volumes")) or service.get("network_mode") == "host":
            faults.append(f"{name}: reaches the host")
    return faults


def secrets_are_files(files: Files) -> list[str]:
    """No secret is in an environment; each is a file with a default for development and a variable for another."""
    faults = []
    for name, service in files.services.items():
        for key, value in _environment(service).items():
            if _SECRET_VALUE.search(str(value)):
                faults.append(f"{name}: {key} shows a password")
            hidden = key.endswith(_SECRET_ELSEWHERE) or (name, key) == _AIRFLOW_PASSWORD
            if _SECRET_NAME.search(key) and not hidden:
                faults.append(f"{name}: {key} is in the environment")
        unknown = set(service.get("secrets") or ()) - files.secrets.keys()
        faults += [f"{name}: {secret} is no secret of the files" for secret in sorted(unknown)]
    for secret, file in files.secrets.items():
        if secret == "ca" and file == "${CA_FILE:-/dev/null}":
            # For building, and public: the certificate of an authority.
            continue
        found = re.fullmatch(rf"\$\{{{secret.upper()}_FILE:-(\./[^}}]+)\}}", file)
        if found is None:
            faults.append(f"{secret}: {file} is not ${{{secret.upper()}_FILE:-./file}}")
        elif not (ROOT / found[1]).is_file():
            faults.append(f"{secret}: {found[1]} is not there")
    return faults


def logs_are_rotated(files: Files) -> list[str]:
    """What a container prints takes a bounded part of the disk."""
    faults = []
    for name, service in files.services.items():
        logging = service.get("logging") or {}
        options = logging.get("options") or {}
        if logging.get("driver") not in ("json-file", "local") or not {"max-size", "max-file"} <= options.keys():
            faults.append(f"{name}: its log has no bound")
    return faults


def servers_may_finish(files: Files) -> list[str]:
    """A stop waits for what a server has begun."""
    faults = [
        f"{name}: no stop_grace_period"
        for name, service in files.services.items()
        if name not in one_shots(files.services) and "stop_grace_period" not in service
    ]
    grace = files.services["consumer"].get("stop_grace_period", "0s")
    if seconds(grace) <= DRAIN_SECONDS:
        faults.append(f"consumer: {grace} is not more than its drain, {DRAIN_SECONDS} s")
    return faults


def _environment(service: dict[str, Any]) -> dict[str, Any]:
    environment = service.get("environment") or {}
    assert isinstance(environment, dict), "environment is a list: a typing error in it is not seen"
    return environment


RULES: tuple[Callable[[Files], list[str]], ...] = (
    images_are_pinned,
    servers_have_health_checks,
    waits_are_for_health,
    servers_come_back,
    resources_are_bounded,
    heaps_are_below_limits,
    data_is_in_named_volumes,
    ports_are_local_and_settable,
    rights_are_few,
    secrets_are_files,
    logs_are_rotated,
    servers_may_finish,
)
