"""The servers' addresses; one that is missing fails the test, which is never skipped."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from millstream.devstack import Devstack


def _address(variable: str) -> str:
    found = os.environ.get(variable)
    if not found:
        pytest.fail(f"{variable} is not set: run this with `.ci/with-stack .venv/bin/pytest ...`")
    return found


@pytest.fixture(scope="session")
def kafka() -> str:
    """`host:port` of a real Kafka."""
    return _address("MILLSTREAM_KAFKA")


@pytest.fixture(scope="session")
def registry() -> str:
    """The URL of a real Schema Registry, Confluent's API."""
    return _address("MILLSTREAM_REGISTRY")


@pytest.fixture(scope="session")
def stack() -> Devstack:
    """The servers as processes, for tests that stop one."""
    return Devstack(_address("MILLSTREAM_DEVSTACK"))


@pytest.fixture
def new_topic(kafka: str) -> Iterator[Callable[..., str]]:
    """Makes topics of its own for a test: `new_topic(partitions=3, **{"max.message.bytes": "2000"})`."""
    admin = AdminClient({"bootstrap.servers": kafka})
    made: list[str] = []

    def make(partitions: int = 3, **config: str) -> str:
        name = f"interop-{uuid.uuid4().hex}"
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
        made.append(name)
        return name

    yield make
    if made:
        for outcome in admin.delete_topics(made).values():
            outcome.result(30)
