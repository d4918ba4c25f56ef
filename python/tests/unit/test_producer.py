"""The producer on librdkafka's own mock cluster, and on brokers that are not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import millstream as ms

JSON = ms.JSONSerializer()
NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300}


@dataclass
class User:
    id: int
    name: str


class Model:
    """What pydantic's models can do."""

    def __init__(self, number: int) -> None:
        self.number = number

    def model_dump(self) -> dict[str, Any]:
        return {"id": self.number}


def test_a_report_accounts_for_every_record(producer: ms.Producer) -> None:
    rows = [{"id": n} for n in range(1_000)]
    report = producer.produce_batch("accounts", rows, key_field="id", value_serializer=JSON)
    assert isinstance(report, ms.ProduceReport)
    assert (report.topic, report.delivered, report.not_sent, report.unknown, report.errors) == (
        "accounts", 1_000, (), (), {},
    )  # fmt: skip
    assert sum(last - first + 1 for first, last in report.offsets.values()) == 1_000
    assert report.bytes == sum(len(f'{{"id":{n}}}') + len(str(n)) for n in range(1_000))
    assert report.seconds > 0
    assert repr(report).startswith("<ProduceReport to accounts: 1000 delivered, ")


@pytest.mark.parametrize("records", [[User(1, "a"), User(2, "b")], (Model(1), Model(2)), [{"id": "1"}, {"id": "2"}]])
def test_any_iterable_of_what_counts_as_a_record(producer: ms.Producer, records: Any) -> None:
    for given in (records, iter(records), (record for record in records), ms.Records.from_pylist(records)):
        assert producer.produce_batch("kinds", given, key_field="id", value_serializer=JSON).delivered == 2


def test_an_empty_batch_is_delivered(producer: ms.Producer) -> None:
    for nothing in (list[Any](), ms.Records.from_pylist([])):
        assert producer.produce_batch("empty", nothing, value_serializer=JSON).delivered == 0


@pytest.mark.parametrize("one", [{"id": 1}, "text", b"bytes", Model(1)], ids=repr)
def test_one_record_is_not_a_batch(producer: ms.Producer, one: Any) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        producer.produce_batch("one", one, value_serializer=JSON)


@pytest.mark.parametrize("held", [False, True], ids=["list", "Records"])
@pytest.mark.parametrize(
    ("bad", "path"),
    [({"id": 2, "x": {"y": float("inf")}}, "x.y"), ({"id": None}, "id"), ({}, "id"), ({"id": []}, "id")],
)
def test_a_record_that_cannot_be_encoded_ends_the_batch_before_it(
    producer: ms.Producer, held: bool, bad: dict[str, Any], path: str
) -> None:
    rows: Any = [{"id": 0}, {"id": 1}, bad, {"id": 3}]
    if held:
        rows = ms.Records.from_pylist(rows)
    with pytest.raises(ms.EncodeError, match=r"^record 2: ") as caught:
        producer.produce_batch("encode", rows, key_field="id", value_serializer=JSON)
    error = caught.value
    assert (error.index, error.path, error.retryable) == (2, path, False)
    assert error.report is not None
    assert error.report.delivered == 2
    assert error.report.not_sent == (2, 3)


def test_an_iterable_is_not_read_far_beyond_a_record_that_is_none(producer: ms.Producer) -> None:
    rows = iter([{"id": 0}, {"id": {1}}, *({"id": n} for n in range(10_000))])
    with pytest.raises(ms.EncodeError) as caught:
        producer.produce_batch("far", rows, key_field="id", value_serializer=JSON)
    assert (caught.value.index, caught.value.path) == (1, "id")
    assert caught.value.report is not None
    assert (caught.value.report.delivered, caught.value.report.not_sent) == (1, (1,))
    assert next(rows) == {"id": 0}


def test_what_the_iterable_raises_goes_on_with_a_note(producer: ms.Producer) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more") as caught:
        producer.produce_batch("raises", rows(), value_serializer=JSON)
    assert getattr(caught.value, "__notes__", None) in (
        None,  # Python 3.10 has no notes
        ["produce_batch to raises: 1 delivered, 0 not sent, 0 unknown"],
    )


def test_bytes_and_text_are_sent_as_they_are(producer: ms.Producer) -> None:
    assert producer.produce_batch("plain", ["text", b"\x00\xff"]).bytes == 6
    with pytest.raises(ms.EncodeError, match="an object, not text or bytes") as caught:
        producer.produce_batch("plain", [{"id": 1}])
    assert caught.value.index == 0


def test_brokers_that_are_not_there() -> None:
    started = time.monotonic()
    rows = [{"id": n} for n in range(200)]
    with pytest.raises(ms.ProduceError, match="not_sent") as caught:
        ms.Producer(NOWHERE).produce_batch("users", rows, key_field="id", value_serializer=JSON)
    error = caught.value
    assert (error.code, error.retryable, error.index) == ("MessageTimedOut", True, 0)
    assert "127.0.0.1:1" in str(error)
    assert error.report is not None
    assert (error.report.delivered, error.report.unknown) == (0, ())
    assert error.report.not_sent == tuple(range(200))
    assert set(error.report.errors) == set(range(100))
    assert time.monotonic() - started < 10


def test_flush_tells_about_what_produce_took() -> None:
    producer = ms.Producer(NOWHERE)
    for n in range(3):
        producer.produce("users", f"{n}", key=b"k", headers={"a": b"1", "b": None})
    assert len(producer) == 3
    assert producer
    with pytest.raises(ms.ProduceError, match="under way") as caught:
        producer.flush(0.01)
    assert caught.value.retryable
    with pytest.raises(ms.ProduceError, match="3 not sent") as caught:
        producer.flush()
    assert caught.value.report is not None
    assert caught.value.report.not_sent == (0, 1, 2)
    assert producer.flush() == 0


def test_leaving_the_block_flushes_and_raises() -> None:
    with pytest.raises(ms.ProduceError, match="not sent") as caught, ms.Producer(NOWHERE) as producer:
        producer.produce("users", b"x")
    assert caught.value.report is not None
    with pytest.raises(ms.ClosedError):
        producer.produce("users", b"x")


def test_an_exception_in_the_block_purges_and_is_kept() -> None:
    def leave() -> None:
        with ms.Producer({**NOWHERE, "message.timeout.ms": 60_000}) as producer:
            producer.produce("users", b"x")
            raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError) as caught:
        leave()
    assert time.monotonic() - started < 5
    notes = getattr(caught.value, "__notes__", ["producer: of the records given to produce(), 0 delivered, 1 not sent"])
    assert notes[0].startswith("producer: of the records given to produce(), 0 delivered, 1 not sent")


def test_a_closed_producer_says_so(producer: ms.Producer) -> None:
    producer.close()
    producer.close()
    assert "closed" in repr(producer)
    for call in (
        lambda: producer.produce("t", b""),
        lambda: producer.produce_batch("t", [b""]),
        producer.flush,
        producer.__enter__,
    ):
        with pytest.raises(ms.ClosedError) as caught:
            call()
        assert not caught.value.retryable


def test_dropping_records_under_way_warns() -> None:
    producer = ms.Producer(NOWHERE)
    producer.produce("users", b"x")
    held = [producer]
    del producer
    with pytest.warns(ResourceWarning, match="1 records under way"):
        held.clear()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, r"bootstrap\.servers"),
        ({"bootstrap.servers": ""}, r"bootstrap\.servers"),
        ({"bootstrap.servers": "host:"}, "host:port"),
        ({"bootstrap.servers": "host:99999"}, "host:99999"),
        ({"bootstrap.servers": "a:1", "boostrap.servers": "a:1"}, r"boostrap\.servers"),
        ({"bootstrap.servers": "a:1", "acks": 1}, "acks"),
        ({"bootstrap.servers": "a:1", "linger.ms": "soon"}, r"linger\.ms"),
        ({"bootstrap.servers": "a:1", "on_delivery": print}, "on_delivery"),
    ],
)
def test_properties_that_cannot_be_used(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ms.ConfigError, match=said):
        ms.Producer(config)


@pytest.mark.parametrize("topic", ["", ".", "..", "a b", "a/b", "x" * 250, "å"])
def test_names_that_no_topic_can_have(producer: ms.Producer, topic: str) -> None:
    for call in (lambda: producer.produce(topic, b""), lambda: producer.produce_batch(topic, [b""])):
        with pytest.raises(ms.ConfigError, match="topic"):
            call()


def test_wrong_arguments_are_told_before_anything_is_sent(producer: ms.Producer) -> None:
    for call in (
        lambda: producer.produce("t", {"a": 1}),  # type: ignore[arg-type]
        lambda: producer.produce("t", b"", key=5),  # type: ignore[arg-type]
        lambda: producer.produce("t", b"", headers=5),  # type: ignore[arg-type]
        lambda: producer.produce_batch("t", 5),  # type: ignore[arg-type]
        lambda: producer.produce_batch("t", [], value_serializer=str),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ms.ConfigError, match=r"a\.\.b"):
        producer.produce_batch("t", [{}], key_field="a..b")
    assert producer.flush() == 0


def test_a_record_that_is_not_taken_raises_at_once(producer: ms.Producer) -> None:
    with pytest.raises(ms.ProduceError, match="not_sent") as caught:
        producer.produce("t", b"x" * 2_000_000)
    assert (caught.value.code, caught.value.retryable) == ("MessageSizeTooLarge", False)


def test_a_partition_that_is_not_there(producer: ms.Producer) -> None:
    def call() -> None:
        # At once where the number of partitions is known already, else by the flush.
        producer.produce("t", b"x", partition=10_000)
        producer.flush()

    with pytest.raises(ms.ProduceError, match="not_sent: UnknownPartition") as caught:
        call()
    assert not caught.value.retryable


def test_eight_threads_share_a_producer(producer: ms.Producer) -> None:
    reports: list[ms.ProduceReport] = []

    def work(number: int) -> None:
        rows = [{"id": f"{number}-{n}"} for n in range(500)]
        for given in (rows, ms.Records.from_pylist(rows)):
            report = producer.produce_batch("shared", given, key_field="id", value_serializer=JSON)
            reports.append(report)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.delivered for report in reports] == [500] * 16


def test_a_dict_that_changes_while_it_is_read_is_sent_as_it_was(producer: ms.Producer) -> None:
    row: dict[str, Any] = {}

    class Grows:
        def model_dump(self) -> dict[str, Any]:
            row.update({f"more {n}": n for n in range(100)})
            return {}

    row.update({"id": 1, "grows": Grows(), "after": 2})
    report = producer.produce_batch("changing", [row], value_serializer=JSON)
    assert report.bytes == len('{"id":1,"grows":{},"after":2}')


def test_a_large_int_of_ones_own_kind_is_its_digits() -> None:
    class Loud(int):
        def __repr__(self) -> str:
            return "a lot"

    rows = ms.Records.from_pylist([{"n": Loud(2**70)}])
    assert rows.to_pylist() == [{"n": str(2**70)}]


def test_flush_refuses_what_is_no_time(producer: ms.Producer) -> None:
    with pytest.raises(ms.ConfigError, match="timeout is NaN"):
        producer.flush(float("nan"))
    assert producer.flush(-1.0) == 0


def test_counts_add_up_to_what_was_taken(producer: ms.Producer) -> None:
    whole = producer.produce_batch("whole", [{"id": 1}], value_serializer=JSON)
    assert whole.unaccounted == 0
    assert ms.ProduceReport("t", 1, 0, 0.0, {}, unaccounted=2).unaccounted == 2
    assert "2 unaccounted" in repr(ms.ProduceReport("t", 1, 0, 0.0, {}, unaccounted=2))
    rows = ({"id": n} if n != 5 else {"id": object()} for n in range(100))
    with pytest.raises(ms.EncodeError) as caught:
        producer.produce_batch("cut", rows, value_serializer=JSON)
    report = caught.value.report
    assert report is not None
    # Ninety-four records were never taken: they are in no list and not delivered.
    assert report.delivered + len(report.not_sent) + len(report.unknown) + report.unaccounted == 6
