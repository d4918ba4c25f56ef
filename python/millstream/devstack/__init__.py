"""Real local servers without Docker: Kafka, Cassandra, PostgreSQL and a schema registry.

`python -m millstream.devstack up` starts them; `Devstack` does the same from a program. Standard library
only; Linux only. They listen on 127.0.0.1, ask for no or a well-known password and are for development and
tests, never for data that matters.
"""

from .errors import (
    DevstackError,
    FetchError,
    MissingToolError,
    NotReadyError,
    RefusedError,
    StartError,
    StateError,
    StopError,
)
from .kafka_protocol import NewTopic, TopicOutcome
from .stack import ALL_SERVICES, Devstack, ServiceStatus
from .topics import TOPICS

__all__ = [
    "ALL_SERVICES",
    "TOPICS",
    "Devstack",
    "DevstackError",
    "FetchError",
    "MissingToolError",
    "NewTopic",
    "NotReadyError",
    "RefusedError",
    "ServiceStatus",
    "StartError",
    "StateError",
    "StopError",
    "TopicOutcome",
]
