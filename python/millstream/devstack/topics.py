"""The pipeline's topics, as every part of the project names them."""

from __future__ import annotations

from .kafka_protocol import NewTopic

_RETENTION = {"retention.ms": str(7 * 24 * 3600 * 1000)}
# Kafka's own default limit: one mebibyte of records and a batch header.
_SOURCE_LIMIT = 1_048_588
# A dead letter is the whole original plus our headers.
_DEAD_LETTER_ROOM = 64 * 1024
# A dead letter carries its original's time in a header; its own time is when it was written, or retention
# would delete an old record's dead letter at once.
_DEAD_LETTER = {
    **_RETENTION,
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(_SOURCE_LIMIT + _DEAD_LETTER_ROOM),
}

TOPICS: tuple[NewTopic, ...] = (
    NewTopic("users_created", 6, _RETENTION),
    NewTopic("users_created_avro", 6, _RETENTION),
    NewTopic("raw_events", 6, _RETENTION),
    NewTopic("processed_events", 6, _RETENTION),
    NewTopic("error_events", 6, _DEAD_LETTER),
    NewTopic("monitoring_events", 1, _RETENTION),
)
"""What `up --topics` and `topics create` create."""
