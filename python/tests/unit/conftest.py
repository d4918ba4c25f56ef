"""Stand-ins for what the wheel talks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import millstream as ms
from millstream.sample_api import SampleApi

from .registry import StubRegistry, stub_registry


@pytest.fixture(scope="session")
def api() -> Iterator[SampleApi]:
    """An API that misbehaves on demand."""
    with SampleApi() as running:
        yield running


@pytest.fixture
def registry() -> Iterator[StubRegistry]:
    """A registry that knows one id."""
    with stub_registry() as running:
        yield running


@pytest.fixture
def producer() -> Iterator[ms.Producer]:
    """A producer on librdkafka's own mock cluster."""
    with ms.Producer({"test.mock.num.brokers": 1}) as made:
        yield made
