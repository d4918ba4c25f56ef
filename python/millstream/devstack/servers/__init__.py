"""The four servers: how each is configured, started and asked."""

from .base import Command, Instance, Server
from .cassandra import Cassandra
from .kafka import Kafka
from .postgres import Postgres
from .registry import Registry

SERVERS: dict[str, Server] = {server.name: server for server in (Kafka(), Cassandra(), Postgres(), Registry())}
"""Every server by name, in the order they are shown."""

__all__ = ["SERVERS", "Cassandra", "Command", "Instance", "Kafka", "Postgres", "Registry", "Server"]
