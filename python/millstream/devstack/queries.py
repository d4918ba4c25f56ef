"""Lets a reader ask the running servers a question. The drivers come from the development environment."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, TextIO

from . import tables
from .errors import DevstackError, MissingToolError, RefusedError

_SECONDS = 15.0


def _driver(module: str, package: str) -> Any:
    """A driver that need not be installed for the rest of the stack to work."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingToolError(f"{package} is not installed here: run `make dev`, or pip install {package}") from error


def statements(given: str | None, source: TextIO) -> Iterator[str]:
    """The statement given, else those on the source, each ended by a semicolon."""
    text = source.read() if given is None else given
    yield from split_statements(text)


def split_statements(text: str) -> list[str]:
    """Statements parted at semicolons outside of quotes and `--` comments."""
    parts, current, quote, at = [], "", "", 0
    while at < len(text):
        character = text[at]
        if not quote and text.startswith("--", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        if character == ";" and not quote:
            parts.append(current)
            current = ""
        else:
            current += character
        at += 1
    return [part.strip() for part in (*parts, current) if part.strip()]


def cql_report(address: str, statement: str) -> str:
    """The statement's rows as a table."""
    cluster_module = _driver("cassandra.cluster", "cassandra-driver")
    host, _, port = address.rpartition(":")
    cluster = cluster_module.Cluster([host], port=int(port), connect_timeout=_SECONDS)
    try:
        result = cluster.connect().execute(statement, timeout=_SECONDS)
        rows = [tuple(row) for row in result]
        columns = result.column_names or ()
    except Exception as error:
        raise _refused("Cassandra", error) from error
    finally:
        cluster.shutdown()
    return _answer(list(columns), rows)


def psql_report(dsn: str, statement: str) -> str:
    """The statement's rows as a table."""
    psycopg = _driver("psycopg", "psycopg[binary]")
    try:
        with psycopg.connect(dsn, connect_timeout=int(_SECONDS), autocommit=True) as connection:
            cursor = connection.execute(statement)
            if cursor.description is None:
                return str(cursor.statusmessage)
            return _answer([column.name for column in cursor.description], cursor.fetchall())
    except psycopg.Error as error:
        raise _refused("PostgreSQL", error) from error


def _answer(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    if not columns:
        return "done"
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return f"{tables.aligned(columns, rows)}\n({count})"


def _refused(server: str, error: Exception) -> DevstackError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RefusedError(f"{server}: {first}")


def topics_report(address: str) -> str:
    """Every topic with its partitions and records, and every consumer group with its lag, as two tables."""
    admin_module = _driver("confluent_kafka.admin", "confluent-kafka")
    kafka = _driver("confluent_kafka", "confluent-kafka")
    admin = admin_module.AdminClient({"bootstrap.servers": address, "socket.timeout.ms": int(_SECONDS * 1000)})
    try:
        metadata = admin.list_topics(timeout=_SECONDS)
        topics = {name: topic for name, topic in metadata.topics.items() if not name.startswith("__")}
        partitions = [
            kafka.TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions
        ]
        first = _offsets(admin, partitions, admin_module.OffsetSpec.earliest())
        last = _offsets(admin, partitions, admin_module.OffsetSpec.latest())
        rows = []
        for name in sorted(topics):
            mine = [key for key in last if key[0] == name]
            rows.append((name, len(topics[name].partitions), sum(last[key] - first[key] for key in mine)))
        groups = _group_rows(admin, kafka, last)
    except kafka.KafkaException as error:
        raise _refused("Kafka", error) from error
    report = tables.aligned(("topic", "partitions", "records"), rows, right=(1, 2)) if rows else "no topics"
    if groups:
        report += "\n\n" + tables.aligned(("group", "topic", "committed", "lag"), groups, right=(2, 3))
    return report


def _offsets(admin: Any, partitions: list[Any], which: Any) -> dict[tuple[str, int], int]:
    if not partitions:
        return {}
    futures = admin.list_offsets(dict.fromkeys(partitions, which), request_timeout=_SECONDS)
    return {(partition.topic, partition.partition): future.result().offset for partition, future in futures.items()}


def _group_rows(admin: Any, kafka: Any, last: dict[tuple[str, int], int]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    listed = admin.list_consumer_groups(request_timeout=_SECONDS).result().valid
    for group in sorted(group.group_id for group in listed):
        request = [kafka.ConsumerGroupTopicPartitions(group)]
        future = admin.list_consumer_group_offsets(request, request_timeout=_SECONDS)[group]
        per_topic: dict[str, tuple[int, int]] = {}
        for partition in future.result().topic_partitions:
            end = last.get((partition.topic, partition.partition))
            if end is None or partition.offset < 0:
                continue
            committed, lag = per_topic.get(partition.topic, (0, 0))
            per_topic[partition.topic] = (committed + partition.offset, lag + max(0, end - partition.offset))
        rows.extend((group, topic, committed, lag) for topic, (committed, lag) in sorted(per_topic.items()))
    return rows
