"""Asks a server whether it serves, in its own protocol. Each probe is one bounded conversation."""

from __future__ import annotations

import http.client
import socket
import time

from . import cql_protocol, kafka_protocol, postgres_protocol
from .errors import NotReadyError, RefusedError
from .kafka_protocol import NewTopic, TopicOutcome
from .ports import HOST

_LARGEST_ANSWER = 1 << 20


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise NotReadyError("the connection was closed in mid answer")
        received += chunk
    return received


def _connect(port: int, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((HOST, port), timeout=seconds)
    except OSError as error:
        raise NotReadyError(f"no connection to {HOST}:{port}: {error.strerror or error}") from error


def _kafka_exchange(port: int, request: bytes, seconds: float) -> bytes:
    with _connect(port, seconds) as connection:
        connection.sendall(request)
        size = int.from_bytes(_receive(connection, 4), "big", signed=True)
        if not 0 < size <= _LARGEST_ANSWER:
            raise NotReadyError(f"port {port} answers {size} bytes: this is no Kafka broker")
        return _receive(connection, size)


def probe_kafka(port: int, seconds: float) -> None:
    """NotReadyError unless a broker answers ApiVersions."""
    try:
        kafka_protocol.check_api_versions(_kafka_exchange(port, kafka_protocol.api_versions_request(1), seconds), 1)
    except (OSError, ValueError) as error:
        raise NotReadyError(str(error)) from error


def _cql_exchange(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    _, opcode, length = cql_protocol.parse_header(_receive(connection, cql_protocol.HEADER_BYTES))
    _receive(connection, length)
    return opcode


def probe_cassandra(port: int, seconds: float) -> None:
    """NotReadyError unless a node answers OPTIONS and opens a conversation."""
    try:
        with _connect(port, seconds) as connection:
            if (opcode := _cql_exchange(connection, cql_protocol.options_request(1))) != cql_protocol.SUPPORTED:
                raise NotReadyError(f"Cassandra answered OPTIONS with opcode {opcode:#04x}")
            opcode = _cql_exchange(connection, cql_protocol.startup_request(2))
            if opcode not in (cql_protocol.READY, cql_protocol.AUTHENTICATE):
                raise NotReadyError(f"Cassandra answered STARTUP with opcode {opcode:#04x}")
    except (OSError, ValueError) as error:
        raise NotReadyError(str(error)) from error


def probe_postgres(port: int, user: str, database: str, seconds: float) -> None:
    """NotReadyError unless the server asks for a login to this database."""
    try:
        with _connect(port, seconds) as connection:
            connection.sendall(postgres_protocol.startup_packet(user, database))
            kind, length = postgres_protocol.parse_header(_receive(connection, 5))
            postgres_protocol.check_first_answer(kind, _receive(connection, length))
    except (OSError, ValueError) as error:
        raise NotReadyError(str(error)) from error


def probe_http(port: int, path: str, seconds: float) -> None:
    """NotReadyError unless GET `path` is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read(_LARGEST_ANSWER)
        if response.status != 200:
            raise NotReadyError(f"GET {path} is answered with {response.status}")
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"GET {path}: {error}") from error
    finally:
        connection.close()


def create_topics(port: int, topics: list[NewTopic], seconds: float = 30.0) -> list[TopicOutcome]:
    """Create topics and say what became of each; one that exists is left as it is.

    A broker that has just started may not have registered itself yet and refuses any replication factor;
    that answer is asked again for until the deadline. Raises RefusedError on any other refusal.
    """
    deadline = time.monotonic() + seconds
    accepted = (kafka_protocol.NONE, kafka_protocol.TOPIC_ALREADY_EXISTS)
    while True:
        request = kafka_protocol.create_topics_request(topics, 1, timeout_ms=10_000)
        try:
            outcomes = kafka_protocol.parse_create_topics(_kafka_exchange(port, request, 15.0), 1)
        except (OSError, ValueError) as error:
            raise NotReadyError(f"the topics could not be created: {error}") from error
        refused = [outcome for outcome in outcomes if outcome.error_code not in accepted]
        if not refused:
            return outcomes
        first = refused[0]
        if first.error_code != kafka_protocol.INVALID_REPLICATION_FACTOR or time.monotonic() > deadline:
            raise RefusedError(f"topic {first.name} was refused with error {first.error_code}: {first.message}")
        time.sleep(0.1)
