"""What the real stores hold, read with Python's own clients and none of Millstream's code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement, dict_factory
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from .console import DemoFailedError

SECONDS = 20.0
ROWS_A_PAGE = 5000


class Cassandra:
    """Reads `created_users`."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        profile = ExecutionProfile(RoundRobinPolicy(), row_factory=dict_factory, request_timeout=SECONDS)
        self._cluster = Cluster(
            [host],
            port=int(port),
            connect_timeout=SECONDS,
            protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        self._session = self._cluster.connect()

    def users(self) -> dict[str, dict[str, Any]]:
        """Every row by its id; the id as text."""
        statement = SimpleStatement("SELECT * FROM spark_streams.created_users", fetch_size=ROWS_A_PAGE)
        return {str(row["id"]): {**row, "id": str(row["id"])} for row in self._session.execute(statement)}

    def ids(self) -> set[str]:
        """Every id."""
        statement = SimpleStatement("SELECT id FROM spark_streams.created_users", fetch_size=ROWS_A_PAGE)
        return {str(row["id"]) for row in self._session.execute(statement)}

    def wait_for(self, ids: set[str], seconds: float) -> set[str]:
        """Waits until every one of `ids` has a row; returns those that have none at the end."""
        deadline = time.monotonic() + seconds
        while missing := ids - self.ids():
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return missing

    def close(self) -> None:
        """Ends the session."""
        self._cluster.shutdown()


@dataclass(frozen=True)
class DeadLetter:
    """A record in the dead-letter topic."""

    partition: int
    offset: int
    value: bytes
    code: str
    reason: str


class Kafka:
    """Sends and reads single records."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def send(self, topic: str, key: bytes, value: bytes) -> Message:
        """Sends one record; returns it as acknowledged."""
        acknowledged: list[Message] = []
        producer = Producer({"bootstrap.servers": self._bootstrap, "message.timeout.ms": int(SECONDS * 1000)})

        def delivered(error: object, message: Message) -> None:
            if error is None:
                acknowledged.append(message)

        producer.produce(topic, key=key, value=value, on_delivery=delivered)
        producer.flush(SECONDS)
        if not acknowledged:
            raise DemoFailedError(f"Kafka at {self._bootstrap} did not take a record for {topic}")
        return acknowledged[0]

    def dead_letter(self, topic: str, key: bytes, seconds: float) -> DeadLetter | None:
        """The first dead letter with this key, waiting for it; None when it does not come."""
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"demo-{uuid.uuid4()}"})
        try:
            partitions = reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions
            reader.assign([TopicPartition(topic, number, 0) for number in partitions])
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                message = reader.poll(0.2)
                if message is not None and message.error() is None and message.key() == key:
                    return _dead_letter(message)
            return None
        finally:
            reader.close()

    def size(self, topic: str) -> int:
        """How many records the topic holds."""
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"demo-{uuid.uuid4()}"})
        try:
            partitions = reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions
            ends = [reader.get_watermark_offsets(TopicPartition(topic, number), SECONDS) for number in partitions]
            return sum(high - low for low, high in ends)
        finally:
            reader.close()

    def count(self, topic: str, offsets: Mapping[str, list[int]]) -> int:
        """How many records stand in these offset ranges (partition -> [first, last])."""
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"demo-{uuid.uuid4()}"})
        try:
            found = 0
            deadline = time.monotonic() + SECONDS
            for partition, (first, last) in offsets.items():
                reader.assign([TopicPartition(topic, int(partition), first)])
                at: int = first - 1
                while at < last and time.monotonic() < deadline:
                    for message in reader.consume(ROWS_A_PAGE, timeout=1.0):
                        if message.error() is None:
                            at = message.offset() or 0
                            found += at <= last
            return found
        finally:
            reader.close()


def _dead_letter(message: Message) -> DeadLetter:
    headers = dict(message.headers() or [])
    return DeadLetter(
        message.partition() or 0,
        message.offset() or 0,
        message.value() or b"",
        _text(headers.get("x-dlq-code")) or "(no code)",
        _text(headers.get("__connect.errors.exception.message")) or "(no reason)",
    )


def _text(header: bytes | str | None) -> str:
    return header.decode(errors="replace") if isinstance(header, bytes) else header or ""
