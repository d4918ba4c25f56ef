"""Probes against servers that are something else, or half dead: always NotReadyError, never later than asked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from millstream.devstack import readiness
from millstream.devstack.errors import NotReadyError, RefusedError
from millstream.devstack.kafka_protocol import NewTopic

SECONDS = 0.3
PROBES: dict[str, Callable[[int], None]] = {
    "kafka": lambda port: readiness.probe_kafka(port, SECONDS),
    "cassandra": lambda port: readiness.probe_cassandra(port, SECONDS),
    "postgres": lambda port: readiness.probe_postgres(port, "me", "db", SECONDS),
    "http": lambda port: readiness.probe_http(port, "/subjects", SECONDS),
}
ANSWERS = {
    "closes": b"",
    "silent": None,
    "garbage": b"\x00\x01garbage that is no protocol at all\r\n\r\n",
    "a line of HTTP": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "ends inside": b"\x00\x00\x00\x10\x00",
    "endless": b"\x7f\xff\xff\xff" + b"x" * 4096,
}


@contextmanager
def server(answer: bytes | None) -> Iterator[int]:
    """A server that gives every connection the same answer; None: none at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    with connection:
                        connection.settimeout(5)
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda name: name)
@pytest.mark.parametrize("probe", PROBES)
def test_what_does_not_serve_is_not_ready(probe: str, answer: str) -> None:
    with server(ANSWERS[answer]) as port:
        started = time.monotonic()
        with pytest.raises(NotReadyError):
            PROBES[probe](port)
        assert time.monotonic() - started < 10 * SECONDS


@pytest.mark.parametrize("probe", PROBES)
def test_a_port_nobody_listens_on_is_not_ready(probe: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotReadyError, match="Connection refused"):
        PROBES[probe](port)


GOOD = {
    "kafka": bytes.fromhex("0000001000000001000000000001001200000004"),
    "postgres": bytes.fromhex("520000000800000005"),
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
}


@pytest.mark.parametrize("probe", GOOD)
def test_what_serves_is_ready(probe: str) -> None:
    with server(GOOD[probe]) as port:
        PROBES[probe](port)


def test_a_refused_topic_says_why() -> None:
    refusal = bytes.fromhex("00000001000000000000000100017400110003626164")
    with (
        server(len(refusal).to_bytes(4, "big") + refusal) as port,
        pytest.raises(RefusedError, match="topic t was refused with error 17: bad"),
    ):
        readiness.create_topics(port, [NewTopic("t", 1, {})], seconds=1)


def test_no_broker_to_place_a_topic_on_is_asked_again_until_the_deadline() -> None:
    refusal = bytes.fromhex("00000001000000000000000100017400260000")
    with server(len(refusal).to_bytes(4, "big") + refusal) as port:
        started = time.monotonic()
        with pytest.raises(RefusedError, match="error 38"):
            readiness.create_topics(port, [NewTopic("t", 1, {})], seconds=0.5)
        assert time.monotonic() - started >= 0.5
