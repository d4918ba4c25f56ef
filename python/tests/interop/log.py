"""A topic as a consumer that is not ours sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition

DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Entry:
    """One record of the log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int


def read(kafka: str, topic: str, isolation: str = "read_committed") -> list[Entry]:
    """Every record between the beginning and the present end of the topic, by partition and offset."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "interop", "enable.auto.commit": False, "isolation.level": isolation}
    )
    try:
        described = consumer.list_topics(topic, 10).topics[topic]
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
            for number in described.partitions
        }
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        entries: list[Entry] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(_position(consumer, topic, number) < end for number, end in ends.items()):
            assert time.monotonic() < deadline, f"{topic} was not read to its end"
            for message in consumer.consume(1_000, 0.2):
                assert message.error() is None, message.error()
                entries.append(
                    Entry(
                        int(message.partition() or 0), int(message.offset() or 0), message.key(), message.value(),
                        _pairs(message.headers()), message.timestamp()[1],
                    )
                )  # fmt: skip
        return sorted(entries, key=lambda entry: (entry.partition, entry.offset))
    finally:
        consumer.close()


def _pairs(headers: Any) -> tuple[tuple[str, bytes | None], ...]:
    # Declared as a dict too, which a consumer never gives.
    return tuple(headers or ())


def _position(consumer: Consumer, topic: str, partition: int) -> int:
    (found,) = consumer.position([TopicPartition(topic, partition)])
    return max(int(found.offset), 0)
