"""The three Kafka requests the stack needs, as bytes.

Source: the Kafka protocol guide. Versions below the flexible ones are used throughout: brokers of Kafka 4
still take them, and their encoding is plain big-endian fields.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CREATE_TOPICS = 19
_API_VERSIONS = 18
_CLIENT_ID = "millstream-devstack"

NONE = 0
INVALID_REPLICATION_FACTOR = 38
TOPIC_ALREADY_EXISTS = 36


@dataclass(frozen=True)
class NewTopic:
    """A topic to create."""

    name: str
    partitions: int
    configs: Mapping[str, str]
    replication: int = 1


@dataclass(frozen=True)
class TopicOutcome:
    """What the broker said about one topic."""

    name: str
    error_code: int
    message: str


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack(">h", len(encoded)) + encoded


def _request(api_key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    message = struct.pack(">hhi", api_key, version, correlation_id) + _string(_CLIENT_ID) + body
    return struct.pack(">i", len(message)) + message


def api_versions_request(correlation_id: int) -> bytes:
    """ApiVersions, version 0."""
    return _request(_API_VERSIONS, 0, correlation_id, b"")


def check_api_versions(response: bytes, correlation_id: int) -> None:
    """Raise ValueError unless this is a good answer (without its length prefix) to that request."""
    reader = _Reader(response)
    if (answered := reader.int32()) != correlation_id:
        raise ValueError(f"answer to request {answered}, not to {correlation_id}: this is no Kafka broker")
    if (code := reader.int16()) != NONE:
        raise ValueError(f"the broker answered ApiVersions with error {code}")
    if reader.int32() <= 0:
        raise ValueError("the broker knows no request")


def create_topics_request(topics: Sequence[NewTopic], correlation_id: int, timeout_ms: int) -> bytes:
    """CreateTopics, version 4."""
    body = struct.pack(">i", len(topics))
    for topic in topics:
        body += _string(topic.name) + struct.pack(">ihi", topic.partitions, topic.replication, 0)
        body += struct.pack(">i", len(topic.configs))
        for key, value in topic.configs.items():
            body += _string(key) + _string(value)
    body += struct.pack(">i?", timeout_ms, False)
    return _request(_CREATE_TOPICS, 4, correlation_id, body)


def parse_create_topics(response: bytes, correlation_id: int) -> list[TopicOutcome]:
    """The outcomes in a version 4 answer (without its length prefix); ValueError when it is not one."""
    reader = _Reader(response)
    if (answered := reader.int32()) != correlation_id:
        raise ValueError(f"answer to request {answered}, not to {correlation_id}")
    reader.int32()  # throttle time
    count = reader.int32()
    if count < 0:
        raise ValueError(f"an answer about {count} topics")
    return [TopicOutcome(reader.string() or "", reader.int16(), reader.string() or "") for _ in range(count)]


class _Reader:
    """Reads big-endian fields; ValueError past the end."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def _take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._payload):
            raise ValueError(f"the answer ends at byte {len(self._payload)}, inside a field")
        taken = self._payload[self._at : self._at + size]
        self._at += size
        return taken

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def string(self) -> str | None:
        size = self.int16()
        return None if size == -1 else self._take(size).decode("utf-8", errors="replace")
