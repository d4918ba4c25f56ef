"""Producing users to Kafka: this wheel against confluent-kafka, in rounds that take turns.

    .ci/with-stack .venv/bin/python python/benchmarks/producer.py

Needs MILLSTREAM_KAFKA and MILLSTREAM_REGISTRY. Each run is a process of its own with a topic of its own (6 partitions),
and counts only if the topic then holds every record. Both sides have their rows in memory before the clock starts, in
their own form (records in Rust; dicts), have the connection up and the schema registered, and use the same librdkafka
properties. The clock stops when Kafka has acknowledged the last record. The rival is written as its documentation
shows it, and without a delivery callback: it would know how many records were lost, but not which.

Wall time is shared with the broker where both are on one machine; CPU is the process's own, librdkafka's threads
included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import millstream as ms
from millstream.sample_api import MAX_RESULTS, created_users_row, people

SCHEMA = (Path(__file__).parents[2] / "dags/users.avsc").read_text(encoding="utf-8")
PARTITIONS = 6
DISTINCT_ROWS = 20_000
WARM_UP_ROWS = 2_000

# Ours by default; given to both, so that what differs is the work done per record.
PROPERTIES = {
    "enable.idempotence": "true",
    "acks": "all",
    "linger.ms": "5",
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": "100000",
    "queue.buffering.max.kbytes": "65536",
}


@dataclass(frozen=True)
class Run:
    """One process: records per second of wall time, microseconds of its own CPU per record."""

    rate: float
    cpu: float


def main() -> int:
    """Runs the rounds and prints the table and the ratios."""
    options = _options()
    if options.contender:
        print(json.dumps(CONTENDERS[options.contender](options.topic, options.records)))
        return 0
    sample = [json.dumps(row) for row in _rows(1_000)]
    print(f"{options.records:,} records of {statistics.mean(map(len, sample)):.0f} B as JSON, {options.rounds} rounds")
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for turn in range(options.rounds):
        # Another one begins each time: whoever comes after a heavy neighbour is not always the same.
        names = list(CONTENDERS)
        names = names[turn % len(names) :] + names[: turn % len(names)]
        for name in names:
            runs[name].append(_measure(name, options.records))
    _print(runs)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Producing users to Kafka, against confluent-kafka.")
    parser.add_argument("--records", type=int, default=400_000, help="records of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--contender", choices=sorted(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(name: str, records: int) -> Run:
    """One contender in a process of its own; its topic is checked and removed."""
    # Its notes on its own background queue say nothing here.
    admin = AdminClient({"bootstrap.servers": _kafka(), "log_level": 4})
    topic = f"benchmark-{name}-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    try:
        arguments = [sys.executable, __file__, "--contender", name, "--topic", topic, "--records", str(records)]
        done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
        there = _held(topic)
        if there != records + WARM_UP_ROWS:
            raise RuntimeError(f"{name}: {there} records in the topic, {records + WARM_UP_ROWS} produced")
        figures = json.loads(done.stdout)
        return Run(records / figures["wall"], figures["cpu"] / records * 1e6)
    finally:
        admin.delete_topics([topic])[topic].result(30)


def _held(topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": _kafka(), "group.id": "benchmark"})
    try:
        marks = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30) for p in range(PARTITIONS)]
        return sum(high - low for low, high in marks)
    finally:
        consumer.close()


def _print(runs: dict[str, list[Run]]) -> None:
    print(f"{'':24}{'records/s':>12}{'spread':>22}{'CPU us/record':>16}{'spread':>14}")
    for name, figures in runs.items():
        rates, cpus = [run.rate for run in figures], [run.cpu for run in figures]
        print(
            f"{name:24}{statistics.median(rates):>12,.0f}{f'{min(rates):,.0f} - {max(rates):,.0f}':>22}"
            f"{statistics.median(cpus):>16.2f}{f'{min(cpus):.2f} - {max(cpus):.2f}':>14}"
        )
    for ours, rival in (("json", "confluent_json"), ("avro", "confluent_avro"), ("json_dicts", "confluent_json")):
        pairs = list(zip(runs[f"millstream_{ours}"], runs[rival], strict=True))
        print(f"RATIO producer_{ours}_vs_confluent {statistics.median(a.rate / b.rate for a, b in pairs):.2f}")
        print(f"RATIO producer_{ours}_cpu_vs_confluent {statistics.median(a.cpu / b.cpu for a, b in pairs):.2f}")


def _rows(count: int) -> list[dict[str, str]]:
    """Users, the same ones in every process; beyond `DISTINCT_ROWS` they repeat."""
    pages = range(1, -(-min(count, DISTINCT_ROWS) // MAX_RESULTS) + 1)
    distinct = [created_users_row(person) for page in pages for person in people("benchmark", page, MAX_RESULTS)]
    return (distinct * -(-count // len(distinct)))[:count]


def _kafka() -> str:
    return os.environ["MILLSTREAM_KAFKA"]


def _timed(work: Callable[[], None]) -> dict[str, float]:
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {"wall": wall, "cpu": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime}


def _ours(topic: str, rows: Any, warm_up: Any, serializer: ms.JSONSerializer | ms.AvroSerializer) -> dict[str, float]:
    def produce(batch: Any) -> None:
        report = producer.produce_batch(topic, batch, key_field="id", value_serializer=serializer)
        assert report.delivered == len(batch)

    with ms.Producer({"bootstrap.servers": _kafka(), **PROPERTIES}) as producer:
        produce(warm_up)
        return _timed(lambda: produce(rows))


def _rival(
    topic: str, rows: list[dict[str, str]], encode: Callable[[dict[str, str]], bytes | None]
) -> dict[str, float]:
    producer = Producer({"bootstrap.servers": _kafka(), **PROPERTIES})

    def produce(batch: list[dict[str, str]]) -> None:
        for row in batch:
            value = encode(row)
            while True:
                try:
                    producer.produce(topic, value, row["id"])
                    break
                except BufferError:
                    producer.poll(0.01)
        assert producer.flush() == 0

    produce(rows[:WARM_UP_ROWS])
    return _timed(lambda: produce(rows))


def _millstream_json(topic: str, count: int) -> dict[str, float]:
    rows = ms.Records.from_pylist(_rows(count))
    return _ours(topic, rows, rows[:WARM_UP_ROWS], ms.JSONSerializer())


def _millstream_json_dicts(topic: str, count: int) -> dict[str, float]:
    rows = _rows(count)
    return _ours(topic, rows, rows[:WARM_UP_ROWS], ms.JSONSerializer())


def _millstream_avro(topic: str, count: int) -> dict[str, float]:
    rows = ms.Records.from_pylist(_rows(count))
    registry = ms.SchemaRegistryClient({"url": os.environ["MILLSTREAM_REGISTRY"]})
    return _ours(topic, rows, rows[:WARM_UP_ROWS], ms.AvroSerializer(registry, SCHEMA))


def _confluent_json(topic: str, count: int) -> dict[str, float]:
    return _rival(topic, _rows(count), lambda row: json.dumps(row).encode())


def _confluent_avro(topic: str, count: int) -> dict[str, float]:
    serializer = AvroSerializer(SchemaRegistryClient({"url": os.environ["MILLSTREAM_REGISTRY"]}), SCHEMA)
    context = SerializationContext(topic, MessageField.VALUE)
    return _rival(topic, _rows(count), lambda row: serializer(row, context))


CONTENDERS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "millstream_json": _millstream_json,
    "confluent_json": _confluent_json,
    "millstream_avro": _millstream_avro,
    "confluent_avro": _confluent_avro,
    "millstream_json_dicts": _millstream_json_dicts,
}

if __name__ == "__main__":
    sys.exit(main())
