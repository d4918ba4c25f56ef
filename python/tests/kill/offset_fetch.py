"""Kafka's OffsetFetch request (key 9, version 5), spoken over a socket.

Clients built on librdkafka hand out the metadata of a commit without its end, followed by what lies behind it in
memory. What is judged here must be the bytes that the broker has.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

_API_KEY, _API_VERSION = 9, 5
_MAX_ANSWER = 1 << 20


class OffsetFetchError(Exception):
    """The broker refused, with this error code of the protocol."""


def offset_fetch(
    broker: str, group: str, topic: str, partitions: Sequence[int], timeout: float
) -> dict[int, tuple[int, str]]:
    """Committed offset (-1: none) and metadata by partition.

    `broker` (`host:port`) must coordinate the group; `timeout` is in seconds. Raises OffsetFetchError where the broker
    refuses.
    """
    host, _, port = broker.rpartition(":")
    body = struct.pack(">hhi", _API_KEY, _API_VERSION, 1) + _text("kill-test") + _text(group)
    body += struct.pack(">i", 1) + _text(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
    address = (host, int(port))
    with socket.create_connection(address, timeout=timeout) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", answers.read(4))
        if not 0 < size <= _MAX_ANSWER:
            raise OffsetFetchError(f"an answer of {size} bytes")
        return _parse(_Reader(answers.read(size)))


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def text(self) -> str:
        length = max(0, self.take(">h"))
        self._at += length
        return self._content[self._at - length : self._at].decode()


def _parse(reader: _Reader) -> dict[int, tuple[int, str]]:
    reader.take(">i")  # correlation id
    reader.take(">i")  # throttle time
    found = {}
    for _ in range(reader.take(">i")):
        reader.text()  # topic
        for _ in range(reader.take(">i")):
            partition, offset = reader.take(">i"), reader.take(">q")
            reader.take(">i")  # leader epoch
            metadata, error = reader.text(), reader.take(">h")
            if error:
                raise OffsetFetchError(f"partition {partition}: error code {error}")
            found[partition] = (offset, metadata)
    if error := reader.take(">h"):
        raise OffsetFetchError(f"error code {error}")
    return found
