"""The containers as one table, and their addresses for programs on the host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from .engine import Container, Model
from .errors import ComposeError

# Services that speak HTTP, with the path that their address ends in.
_HTTP_PATHS = {
    "airflow-apiserver": "",
    "consumer": "",
    "kafka-ui": "",
    "schema-registry": "/apis/ccompat/v7",
}
# What programs and tests read, as devstack gives it.
VARIABLES = {
    "MILLSTREAM_KAFKA": "kafka",
    "MILLSTREAM_CASSANDRA": "cassandra",
    "MILLSTREAM_REGISTRY": "schema-registry",
    "MILLSTREAM_POSTGRES": "postgres",
}
# By itself, or by SIGTERM, which a JVM answers so.
STOPPED = (0, 143)
# The secret with the password of the pipeline's own role, which is also its database's name.
_POSTGRES_ROLE = "millstream"
_POSTGRES_SECRET = "postgres_millstream_password"  # noqa: S105 - the secret's name


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    service: str
    health: str
    version: str
    address: str | None
    ready: bool


def rows(model: Model, containers: Iterable[Container]) -> list[Row]:
    """One row a container, and one for each service of the model that has none; in the order of their names."""
    by_service: dict[str, list[Container]] = {name: [] for name in model.services}
    for container in containers:
        # One of a profile that is not switched on now is there all the same.
        by_service.setdefault(container.service, []).append(container)
    found: list[Row] = []
    for service, mine in sorted(by_service.items()):
        if not mine:
            found.append(Row(service, "not created", "-", None, ready=False))
        for container in mine:
            name = service if len(mine) == 1 else f"{service}-{container.number}"
            word, ready = health(container, one_shot=service in model.one_shots)
            found.append(Row(name, word, version(container.image), address(container), ready))
    return found


def health(container: Container, *, one_shot: bool) -> tuple[str, bool]:
    """One word for how a container is, and whether it is as it should be."""
    if container.state == "running":
        return container.health or "running", container.health in ("", "healthy")
    if container.state == "exited":
        if container.exit_code in STOPPED:
            return ("done", True) if one_shot and container.exit_code == 0 else ("stopped", False)
        return f"exited ({container.exit_code})", False
    if container.state == "restarting":
        return f"restarting (exited {container.exit_code})", False
    return container.state, False


def version(image: str) -> str:
    """The tag of an image's name; what stands behind `@` is a digest."""
    name = image.partition("@")[0]
    found = re.search(r":([^:/]+)$", name)
    return found[1] if found else "latest"


def address(container: Container) -> str | None:
    """Where the host reaches a container; None when it publishes nothing."""
    shown = []
    for port in container.published:
        place = f"{port.address or '127.0.0.1'}:{port.port}"
        path = _HTTP_PATHS.get(container.service)
        shown.append(place if path is None else f"http://{place}{path}")
    return ", ".join(shown) or None


def environment(model: Model, containers: Iterable[Container]) -> dict[str, str]:
    """The variables that tell programs and tests where the servers are; those that do not run are left out."""
    running = {one.service: one for one in containers if one.state == "running"}
    found = {}
    for variable, service in VARIABLES.items():
        place = address(running[service]) if service in running else None
        if place is not None:
            found[variable] = place if service != "postgres" else _postgres(model, place)
    return found


def _postgres(model: Model, place: str) -> str:
    secret = model.secrets.get(_POSTGRES_SECRET)
    try:
        password = secret.read_text(encoding="utf-8").strip() if secret else ""
    except OSError as error:
        raise ComposeError(f"the secret {_POSTGRES_SECRET} cannot be read: {secret}: {error.strerror}") from error
    return f"postgresql://{_POSTGRES_ROLE}:{quote(password, safe='')}@{place}/{_POSTGRES_ROLE}"


def not_there(service: str) -> str:
    """What to say of a server that does not run."""
    return f"{service} does not run: `make status` says why, `make logs S={service}` more"
