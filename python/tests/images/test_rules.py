"""What the run on an engine would find, without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .memory import parse_size
from .rules import broken


def container() -> dict[str, Any]:
    """As the engine describes one that keeps every rule."""
    return {
        "Config": {
            "User": "65532:65532",
            "Healthcheck": {"Test": ["CMD", "/millstream-consumer", "healthcheck"]},
            "Image": "millstream-consumer:dev",
            "Env": ["MILLSTREAM_KAFKA=kafka:29092", "POSTGRES_PASSWORD_FILE=/run/secrets/password"],
        },
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped"},
            "Memory": 1 << 28,
            "PidsLimit": 128,
            "SecurityOpt": ["no-new-privileges:true"],
            "CapDrop": ["ALL"],
            "LogConfig": {"Config": {"max-size": "10m"}},
            "PortBindings": {"9090/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}]},
            "ReadonlyRootfs": True,
        },
    }


def put(part: str, key: str, value: object) -> Callable[[dict[str, Any]], object]:
    """A change of one fact."""
    return lambda one: one[part].__setitem__(key, value)


def test_one_that_keeps_the_rules_breaks_none() -> None:
    assert broken("consumer", container()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (put("Config", "User", ""), "runs as root"),
        (put("Config", "User", "0:0"), "runs as root"),
        (put("Config", "Healthcheck", None), "has no health check"),
        (put("Config", "Image", "kafka:latest"), "is of a moving tag"),
        (put("Config", "Env", ["POSTGRES_PASSWORD=x"]), "has a secret in its environment: POSTGRES_PASSWORD"),
        (put("HostConfig", "RestartPolicy", {"Name": "no"}), "is not restarted"),
        (put("HostConfig", "Memory", 0), "has no memory limit"),
        (put("HostConfig", "PidsLimit", None), "has no limit of processes"),
        (put("HostConfig", "SecurityOpt", None), "may gain privileges"),
        (put("HostConfig", "CapDrop", None), "keeps capabilities"),
        (put("HostConfig", "LogConfig", {"Config": {}}), "logs without end"),
        (put("HostConfig", "PortBindings", {"1/tcp": [{"HostIp": "0.0.0.0"}]}), "publishes beyond this machine"),
        (put("HostConfig", "ReadonlyRootfs", False), "writes to its own image"),
    ],
)
def test_what_breaks_a_rule_is_found(change: Callable[[dict[str, Any]], object], found: str) -> None:
    one = container()
    change(one)
    assert broken("consumer", one) == [f"consumer {found}"]


@pytest.mark.parametrize(
    ("text", "size"), [("183.8MiB", 183.8 * 2**20), ("1.312GiB ", 1.312 * 2**30), (" 0B", 0), ("--", 0)]
)
def test_sizes_are_read_as_docker_writes_them(text: str, size: float) -> None:
    assert parse_size(text) == size
