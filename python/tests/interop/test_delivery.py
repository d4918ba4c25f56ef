"""What a report says is what is in Kafka, also when Kafka refuses or stands still."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import confluent_kafka
import pytest

import millstream as ms
from millstream.devstack import Devstack

from . import log

JSON = ms.JSONSerializer()
NewTopic = Callable[..., str]


@pytest.fixture
def producer(kafka: str) -> Iterator[ms.Producer]:
    with ms.Producer({"bootstrap.servers": kafka}) as made:
        yield made


@pytest.mark.parametrize("held", [False, True], ids=["list", "Records"])
def test_delivered_offsets_are_what_a_consumer_reads(
    kafka: str, producer: ms.Producer, new_topic: NewTopic, held: bool
) -> None:
    topic = new_topic(6)
    rows = [{"id": n, "name": f"Ada {n} å"} for n in range(5_000)]
    first = producer.produce_batch(topic, rows[:3_000], key_field="id", value_serializer=JSON)
    report = producer.produce_batch(
        topic, ms.Records.from_pylist(rows[3_000:]) if held else rows[3_000:], key_field="id", value_serializer=JSON
    )
    entries = log.read(kafka, topic)
    assert (first.delivered, report.delivered, len(entries)) == (3_000, 2_000, 5_000)
    later = [entry for entry in entries if int(entry.key or b"") >= 3_000]
    for partition, (low, high) in report.offsets.items():
        assert [entry.offset for entry in later if entry.partition == partition] == list(range(low, high + 1))
        assert low == first.offsets[partition][1] + 1
    assert {json.loads(entry.value or b"")["id"]: json.loads(entry.value or b"") for entry in entries} == {
        row["id"]: row for row in rows
    }
    assert all(int(entry.key or b"") == json.loads(entry.value or b"")["id"] for entry in entries)
    assert report.bytes == sum(len(entry.key or b"") + len(entry.value or b"") for entry in later)
    for partition in range(6):
        keys = [int(entry.key or b"") for entry in entries if entry.partition == partition]
        assert keys == sorted(keys)


def test_keys_go_where_the_java_client_puts_them(kafka: str, producer: ms.Producer, new_topic: NewTopic) -> None:
    ours, theirs = new_topic(7), new_topic(7)
    keys = [f"key-{n}" for n in range(300)]
    producer.produce_batch(ours, [{"key": key} for key in keys], key_field="key", value_serializer=JSON)
    rival = confluent_kafka.Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for key in keys:
        rival.produce(theirs, key=key)
    assert rival.flush(30) == 0
    placed = [{entry.key: entry.partition for entry in log.read(kafka, topic)} for topic in (ours, theirs)]
    assert len(placed[0]) == 300
    assert placed[0] == placed[1]


def test_single_records_carry_everything(kafka: str, producer: ms.Producer, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    producer.produce(topic, b"\x00\xff", "key", 2, timestamp=1_700_000_000_000, headers={"a": b"1", "b": None})
    producer.produce(topic, None, b"gone", 1, headers=[("a", "1"), ("a", "2")])
    producer.produce(topic, "", partition=0)
    assert producer.flush() == 0
    empty, tombstone, full = log.read(kafka, topic)
    assert (full.partition, full.key, full.value) == (2, b"key", b"\x00\xff")
    assert (full.timestamp, full.headers) == (1_700_000_000_000, (("a", b"1"), ("b", None)))
    assert (tombstone.partition, tombstone.key, tombstone.value) == (1, b"gone", None)
    assert tombstone.headers == (("a", b"1"), ("a", b"2"))
    assert (empty.partition, empty.key, empty.value) == (0, None, b"")


def test_a_topic_that_is_not_there(kafka: str) -> None:
    config = {"bootstrap.servers": kafka, "topic.metadata.propagation.max.ms": 1_000}
    with ms.Producer(config) as producer, pytest.raises(ms.ProduceError, match="create the topic") as caught:
        producer.produce_batch("nobody-made-this", [{"id": 1}, {"id": 2}], key_field="id", value_serializer=JSON)
    error = caught.value
    assert error.retryable is False
    assert error.code in ("UnknownTopic", "UnknownTopicOrPartition")
    assert error.report is not None
    assert (error.report.delivered, error.report.not_sent, error.report.unknown) == (0, (0, 1), ())


def test_a_record_that_the_topic_refuses_holds_back_its_partition_only(kafka: str, new_topic: NewTopic) -> None:
    topic = new_topic(3, **{"max.message.bytes": "20000"})
    # One record a request: what the topic refuses is then that record alone. The queue is short, so that the refusal is
    # known long before the last record is enqueued.
    config = {
        "bootstrap.servers": kafka,
        "batch.num.messages": 1,
        "compression.type": "none",
        "queue.buffering.max.messages": 100,
    }
    rows = [{"id": n % 30, "n": n, "pad": "x" * (30_000 if n == 300 else 10)} for n in range(2_000)]
    with ms.Producer(config) as producer, pytest.raises(ms.ProduceError) as caught:
        producer.produce_batch(topic, rows, key_field="id", value_serializer=JSON)
    error = caught.value
    assert (error.code, error.retryable, error.index) == ("MessageSizeTooLarge", False, 300)
    report = error.report
    assert report is not None
    assert "max.message.bytes" in report.errors[300]
    assert report.unknown == ()
    there = {json.loads(entry.value or b"")["n"]: entry.partition for entry in log.read(kafka, topic)}
    # What is in no list is delivered, and what is listed as not sent is not there.
    assert set(there) == set(range(2_000)) - set(report.not_sent)
    assert len(there) == report.delivered
    by_key = {rows[n]["id"]: partition for n, partition in there.items()}
    refused = by_key[300 % 30]
    held_back = [n for n in report.not_sent if n != 300]
    assert held_back
    assert {by_key[rows[n]["id"]] for n in held_back} == {refused}
    assert min(held_back) > 300
    # Records behind the refused one that were in the queue by then may be there; once one is held back, all are.
    delivered_there = [n for n, partition in there.items() if partition == refused]
    assert max(delivered_there) < min(held_back)


def test_a_record_larger_than_the_producers_own_limit(kafka: str, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    with ms.Producer({"bootstrap.servers": kafka}) as producer:
        with pytest.raises(ms.ProduceError, match=r"message\.max\.bytes") as caught:
            producer.produce_batch(topic, [b"a", b"x" * 1_100_000, b"b"])
        assert caught.value.report is not None
        assert caught.value.report.not_sent == (1, 2)
        assert not caught.value.retryable
    assert [entry.value for entry in log.read(kafka, topic)] == [b"a"]


@pytest.mark.parametrize("way", ["produce_batch", "produce"])
def test_a_broker_that_stands_still(kafka: str, stack: Devstack, new_topic: NewTopic, way: str) -> None:
    topic = new_topic(3)
    config = {
        "bootstrap.servers": kafka, "message.timeout.ms": 3_000, "socket.timeout.ms": 1_500,
        "batch.num.messages": 100, "linger.ms": 0, "max.in.flight": 5,
    }  # fmt: skip
    rows = [{"id": n % 50, "n": n} for n in range(20_000)]
    before = 2_000
    producer = ms.Producer(config)
    delivered = producer.produce_batch(topic, rows[:before], key_field="id", value_serializer=JSON).delivered
    assert delivered == before

    def send(rest: list[dict[str, int]]) -> None:
        if way == "produce_batch":
            producer.produce_batch(topic, rest, key_field="id", value_serializer=JSON)
        else:
            for row in rest:
                producer.produce(topic, JSON(row), str(row["id"]))
            producer.flush()

    stack.signal("kafka", signal.SIGSTOP)
    try:
        with pytest.raises(ms.ProduceError) as caught:
            send(rows[before:])
    finally:
        stack.signal("kafka", signal.SIGCONT)
    error = caught.value
    assert error.retryable
    assert error.report is not None
    report = error.report
    assert report.delivered + len(report.not_sent) + len(report.unknown) == len(rows) - before
    # Some were on the wire when the broker stopped answering: nobody can say what became of them.
    assert report.unknown
    assert report.not_sent
    assert not set(report.unknown) & set(report.not_sent)
    found = Counter(json.loads(entry.value or b"")["n"] - before for entry in log.read(kafka, topic))
    assert not set(report.not_sent) & set(found)
    listed = {*report.not_sent, *report.unknown}
    assert {index for index in range(len(rows) - before) if index not in listed} <= set(found)
    producer.close()


def test_a_broker_that_stands_still_for_a_moment_costs_nothing(
    kafka: str, stack: Devstack, new_topic: NewTopic
) -> None:
    topic = new_topic(3)
    rows = [{"id": n} for n in range(20_000)]

    def stopping() -> Iterator[dict[str, int]]:
        for row in rows:
            if row["id"] == 5_000:
                stack.signal("kafka", signal.SIGSTOP)
            if row["id"] == 15_000:
                stack.signal("kafka", signal.SIGCONT)
            yield row

    try:
        with ms.Producer({"bootstrap.servers": kafka}) as producer:
            report = producer.produce_batch(topic, stopping(), key_field="id", value_serializer=JSON)
    finally:
        stack.signal("kafka", signal.SIGCONT)
    assert report.delivered == 20_000
    found = [json.loads(entry.value or b"")["id"] for entry in log.read(kafka, topic)]
    assert sorted(found) == list(range(20_000))
