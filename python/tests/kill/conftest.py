"""Servers and binaries of the kill test. What is missing fails the run; nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from millstream.devstack import Devstack

_NEEDED = ("MILLSTREAM_KAFKA", "MILLSTREAM_CASSANDRA")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Addresses of Kafka and Cassandra: those of the environment, else a stack of the session's own."""
    if all(os.environ.get(name) for name in _NEEDED):
        yield {name: os.environ[name] for name in _NEEDED}
        return
    with Devstack(tmp_path_factory.mktemp("stack"), services=("kafka", "cassandra"), free_ports=True) as stack:
        yield stack.env()


@pytest.fixture(scope="session")
def consumer_binary() -> Callable[[str], Path]:
    """The consumer by the cargo feature it is built with; "" is the sound one."""

    def binary(feature: str) -> Path:
        fault = feature.removeprefix("fault-").upper().replace("-", "_")
        variable = f"MILLSTREAM_CONSUMER_{fault}" if fault else "MILLSTREAM_CONSUMER"
        given = os.environ.get(variable)
        if given and Path(given).is_file():
            return Path(given).resolve()
        build = " ".join(
            ["cargo build --release --locked -p millstream-consumer", *(["--features", feature] * bool(fault))]
        )
        named = f"names {given}, which is not there" if given else "is not set"
        pytest.fail(
            f"{variable} {named}. `make test-kill` builds and names all that is needed; by hand: `{build}`, copy "
            f"millstream-consumer out of the target folder and name the copy",
            pytrace=False,
        )

    return binary
