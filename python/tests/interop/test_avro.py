"""Our Avro is read by Confluent's deserializer and by fastavro, and theirs by us."""

from __future__ import annotations

import datetime
import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import millstream as ms
from millstream.sample_api import created_users_row, people

from . import log
from .avro_types import CASES, UTC, Case, as_ours, logical, record, records

USERS = (Path(__file__).parents[3] / "dags/users.avsc").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ours(registry: str) -> ms.SchemaRegistryClient:
    return ms.SchemaRegistryClient({"url": registry})


@pytest.fixture(scope="module")
def theirs(registry: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry}) as client:
        yield client


def context() -> SerializationContext:
    """A subject of its own: schemas of different tests have nothing to be compatible with."""
    return SerializationContext(f"interop-{uuid.uuid4().hex}", MessageField.VALUE)


def framed(schema_id: int, schema: Any, value: Any) -> bytes:
    """What fastavro writes, behind the registry's frame."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return b"\x00" + schema_id.to_bytes(4, "big") + out.getvalue()


def unframed(data: bytes, schema: Any) -> Any:
    """What fastavro reads; not a byte may be left."""
    source = io.BytesIO(data[5:])
    value = fastavro.schemaless_reader(source, fastavro.parse_schema(schema), None)
    assert source.read() == b""
    return value


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_type(case: Case, ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient) -> None:
    ctx = context()
    data = ms.AvroSerializer(ours, case.text)(case.value, ctx)
    assert data is not None
    assert unframed(data, case.schema) == case.value
    assert AvroDeserializer(theirs)(data, ctx) == case.value
    by_confluent = AvroSerializer(theirs, case.text)(case.value, ctx)
    by_fastavro = framed(int.from_bytes(data[1:5], "big"), case.schema, case.value)
    # One subject, one schema: the same id, and byte for byte the same datum.
    assert data == by_confluent == by_fastavro
    assert ms.AvroDeserializer(ours)(data, ctx) == case.ours
    # What we give is what we take.
    assert ms.AvroSerializer(ours, case.text)(case.ours, ctx) == data


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_schema(ours: ms.SchemaRegistryClient, data: st.DataObject) -> None:
    schema, values = data.draw(records())
    value = data.draw(values)
    topic = f"interop-{uuid.uuid4().hex}"
    encoded = ms.AvroSerializer(ours, json.dumps(schema))(value, topic)
    assert encoded is not None
    assert unframed(encoded, schema) == value
    by_fastavro = framed(int.from_bytes(encoded[1:5], "big"), schema, value)
    decode = ms.AvroDeserializer(ours)
    assert decode(encoded) == decode(by_fastavro) == as_ours(value)


def test_local_timestamps_and_durations(ours: ms.SchemaRegistryClient) -> None:
    """What fastavro has no exact type for, or Python no value that we take."""
    local = datetime.datetime(2026, 2, 28, 1, 2, 3, 456_000)
    for name, shown in (("millis", "2026-02-28T01:02:03.456"), ("micros", "2026-02-28T01:02:03.456")):
        schema = record(v=logical("long", f"local-timestamp-{name}"))
        data = ms.AvroSerializer(ours, json.dumps(schema))({"v": shown}, context())
        assert data is not None
        assert unframed(data, schema) == {"v": local}
        assert data == framed(int.from_bytes(data[1:5], "big"), schema, {"v": local})
        assert ms.AvroDeserializer(ours)(data) == {"v": shown}
    schema = record(v={"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"})
    parts = {"months": 1, "days": 2, "milliseconds": 3_000_000_000}
    data = ms.AvroSerializer(ours, json.dumps(schema))({"v": parts}, context())
    assert data is not None
    raw = b"".join(number.to_bytes(4, "little") for number in parts.values())
    assert data[5:] == raw
    assert ms.AvroDeserializer(ours)(data) == {"v": parts}


def test_a_missing_field_takes_its_default(ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient) -> None:
    schema = record(
        id="long",
        name={"type": "string", "default": "nobody"},
        mail={"type": ["null", "string"], "default": None},
        tags={"type": {"type": "array", "items": "int"}, "default": [1, 2]},
        kind={"type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "default": "B"},
        raw={"type": "bytes", "default": "\u00ff"},
        inner={"type": {"type": "record", "name": "In", "fields": [{"name": "n", "type": "int"}]}, "default": {"n": 5}},
    )
    ctx = context()
    data = ms.AvroSerializer(ours, json.dumps(schema))({"id": 1}, ctx)
    assert data is not None
    expected = {
        "id": 1, "name": "nobody", "mail": None, "tags": [1, 2], "kind": "B", "raw": b"\xff", "inner": {"n": 5},
    }  # fmt: skip
    assert AvroDeserializer(theirs)(data, ctx) == unframed(data, schema) == expected
    assert ms.AvroDeserializer(ours)(data) == expected


def test_a_schema_evolves(ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient) -> None:
    """A reader's newer schema fills what our older one did not have; our newer one is read by an older reader."""
    old = record(id="long", name="string")
    new = record(
        id="long", name="string", mail={"type": ["null", "string"], "default": None}, n={"type": "int", "default": 7}
    )
    ctx = context()
    by_old = ms.AvroSerializer(ours, json.dumps(old))({"id": 1, "name": "Ada"}, ctx)
    by_new = ms.AvroSerializer(ours, json.dumps(new))({"id": 2, "name": "Bob", "mail": "b@c"}, ctx)
    assert by_old is not None
    assert by_new is not None
    assert by_old[:5] != by_new[:5]
    read_new, read_old = AvroDeserializer(theirs, json.dumps(new)), AvroDeserializer(theirs, json.dumps(old))
    assert read_new(by_old, ctx) == {"id": 1, "name": "Ada", "mail": None, "n": 7}
    assert read_old(by_new, ctx) == {"id": 2, "name": "Bob"}
    # Ours reads what was written, each by its own schema.
    decode = ms.AvroDeserializer(ours)
    assert decode(by_old) == {"id": 1, "name": "Ada"}
    assert decode(by_new) == {"id": 2, "name": "Bob", "mail": "b@c", "n": 7}


def test_a_schema_with_references_is_read(ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient) -> None:
    subject = f"interop-address-{uuid.uuid4().hex}"
    address = {"type": "record", "name": "ref.Address", "fields": [{"name": "street", "type": "string"}]}
    person = {"type": "record", "name": "ref.Person", "fields": [{"name": "home", "type": "ref.Address"}]}
    theirs.register_schema(subject, Schema(json.dumps(address), "AVRO"))
    schema = Schema(json.dumps(person), "AVRO", [SchemaReference("ref.Address", subject, 1)])
    ctx = context()
    data = AvroSerializer(theirs, schema)({"home": {"street": "Elm"}}, ctx)
    assert ms.AvroDeserializer(ours)(data) == {"home": {"street": "Elm"}}


def test_ids_are_the_registrys_own(ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient) -> None:
    subject = f"interop-{uuid.uuid4().hex}-value"
    text = json.dumps(record(id="long"))
    with pytest.raises(ms.RegistryError) as caught:
        ours.lookup_schema(subject, text)
    assert not caught.value.retryable
    schema_id = ours.register_schema(subject, text)
    assert schema_id == ours.register_schema(subject, Schema(text, "AVRO")) == ours.lookup_schema(subject, text)
    assert schema_id == theirs.lookup_schema(subject, Schema(text, "AVRO")).schema_id
    # Not whether ours is among them: a registry may show only so many.
    subjects = ours.get_subjects()
    assert subjects
    assert set(subjects) == set(theirs.get_subjects())
    encode = ms.AvroSerializer(ours, text, conf={"auto.register.schemas": False})
    data = encode({"id": 1}, subject.removesuffix("-value"))
    assert data is not None
    assert data[:5] == b"\x00" + schema_id.to_bytes(4, "big")
    with pytest.raises(ms.RegistryError):
        encode({"id": 1}, "a-topic-without-a-schema")


def test_an_id_that_the_registry_does_not_have(ours: ms.SchemaRegistryClient) -> None:
    with pytest.raises(ms.RegistryError, match="2000000000") as caught:
        ms.AvroDeserializer(ours)(b"\x00" + (2_000_000_000).to_bytes(4, "big") + b"\x00")
    assert not caught.value.retryable


def test_users_through_kafka(
    kafka: str, ours: ms.SchemaRegistryClient, theirs: SchemaRegistryClient, new_topic: Callable[..., str]
) -> None:
    """The pipeline's own rows, ours to their consumer and theirs to our deserializer."""
    topic = new_topic(3)
    rows = [created_users_row(person) for person in people("interop", 1, 500)]
    rows[0] = {**rows[0], "phone": None}  # type: ignore[dict-item]
    with ms.Producer({"bootstrap.servers": kafka}) as producer:
        report = producer.produce_batch(
            topic, ms.Records.from_pylist(rows), key_field="id", value_serializer=ms.AvroSerializer(ours, USERS)
        )
    assert report.delivered == 500
    decode, ctx = AvroDeserializer(theirs), SerializationContext(topic, MessageField.VALUE)
    found = {entry.key: decode(entry.value, ctx) for entry in log.read(kafka, topic)}
    # Confluent's reader makes the UUID a UUID.
    assert found == {row["id"].encode(): {**row, "id": uuid.UUID(row["id"])} for row in rows}

    other = new_topic(3)
    rival = confluent_kafka.Producer({"bootstrap.servers": kafka})
    encode, ctx = AvroSerializer(theirs, USERS), SerializationContext(other, MessageField.VALUE)
    for row in rows:
        rival.produce(other, encode(row, ctx), row["id"])
    assert rival.flush(30) == 0
    back = ms.AvroDeserializer(ours)
    assert {entry.key: back(entry.value) for entry in log.read(kafka, other)} == {
        row["id"].encode(): row for row in rows
    }


def test_the_zone_of_a_timestamp_is_utc(ours: ms.SchemaRegistryClient) -> None:
    text = json.dumps(record(v=logical("long", "timestamp-micros")))
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    data = ms.AvroSerializer(ours, text)({"v": datetime.datetime(2026, 1, 1, 5, 30, tzinfo=zone)}, context())
    decoded = ms.AvroDeserializer(ours)(data)["v"]
    assert decoded == datetime.datetime(2026, 1, 1, tzinfo=UTC)
    assert decoded.tzinfo == UTC
