"""One record to bytes and back; the real registry and the other implementations are in `tests/interop`."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms

from .registry import SCHEMA_ID, StubRegistry

USER = json.dumps(
    {"type": "record", "name": "User", "fields": [
        {"name": "id", "type": "long"},
        {"name": "mail", "type": ["null", "string"], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "int"}, "default": []},
    ]}
)  # fmt: skip

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_json_is_what_pythons_own_reader_reads(row: dict[str, Any]) -> None:
    encoded = ms.JSONSerializer()(row)
    assert encoded is not None
    assert json.loads(encoded) == row


def test_json_is_compact_and_exact() -> None:
    encode = ms.JSONSerializer()
    row = {"big": 2**64, "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), "s": 'a"\n\u2028å'}
    assert encode(row) == '{"at":"2026-01-01T00:00:00Z","big":"18446744073709551616","s":"a\\"\\n\u2028å"}'.encode()
    assert encode(None) is None
    assert encode({}, "any context") == b"{}"
    for bad, path in (({"a": b"\xff"}, "a"), ({"a": [float("inf")]}, "a[0]"), ({"a": {1}}, "a")):
        with pytest.raises(ms.EncodeError) as caught:
            encode(bad)
        assert (caught.value.index, caught.value.path) == (None, path)


def test_avro_is_framed_and_read_back(registry: StubRegistry) -> None:
    client = ms.SchemaRegistryClient({"url": registry.url})
    encode = ms.AvroSerializer(client, USER)
    encoded = encode({"id": 1}, "users")
    assert encoded == b"\x00" + SCHEMA_ID.to_bytes(4, "big") + b"\x02\x00\x00"
    assert ms.AvroDeserializer(client)(encoded) == {"id": 1, "mail": None, "tags": []}
    assert (encode(None, "users"), ms.AvroDeserializer(client)(None)) == (None, None)
    # By Confluent's names too.
    encode(obj={"id": 2}, ctx=SerializationContext("users", MessageField.VALUE))
    ms.AvroDeserializer(client)(data=encoded, ctx=SerializationContext("users", MessageField.VALUE))
    encode({"id": 2}, SerializationContext("users", MessageField.KEY))
    assert registry.seen == [
        "POST /subjects/users-value/versions",
        f"GET /schemas/ids/{SCHEMA_ID}",
        "POST /subjects/users-key/versions",
    ]


def test_a_schema_may_have_to_be_there(registry: StubRegistry) -> None:
    client = ms.SchemaRegistryClient({"url": registry.url})
    ms.AvroSerializer(client, USER, conf={"auto.register.schemas": False})({"id": 1}, "users")
    assert client.register_schema("a-value", Schema(USER, "AVRO")) == SCHEMA_ID
    assert client.lookup_schema("a-value", USER) == SCHEMA_ID
    assert registry.seen == [
        "POST /subjects/users-value", "POST /subjects/a-value/versions", "POST /subjects/a-value",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "path", "said"),
    [
        ({}, "id", "missing"),
        ({"id": "x"}, "id", "expected long"),
        ({"id": 1, "nope": 1}, "nope", "no field"),
        ({"id": 1, "tags": [1, 2**40]}, "tags[1]", "32 bits"),
        ({"id": 1, "mail": 5}, "mail", "expected string"),
        ([], None, "expected record"),
    ],
)
def test_what_does_not_fit_the_schema_says_where(
    registry: StubRegistry, producer: ms.Producer, row: Any, path: str | None, said: str
) -> None:
    encode = ms.AvroSerializer(ms.SchemaRegistryClient({"url": registry.url}), USER)
    with pytest.raises(ms.EncodeError, match=said) as caught:
        encode(row, "users")
    assert (caught.value.index, caught.value.path) == (None, path)
    with pytest.raises(ms.EncodeError, match=said) as caught:
        producer.produce_batch("users", [{"id": 1}, row], value_serializer=encode)
    assert (caught.value.index, caught.value.path) == (1, path)
    assert caught.value.report is not None
    assert caught.value.report.not_sent == (1,)


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ("{", "schema_unsupported"),
        ('{"type": "nothing"}', "schema_unsupported"),
        (
            '{"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}',
            "schema_recursive",
        ),
    ],
)
def test_a_schema_that_cannot_be_used(schema: str, code: str) -> None:
    client = ms.SchemaRegistryClient({"url": "http://127.0.0.1:1"})
    with pytest.raises(ms.SchemaError) as caught:
        ms.AvroSerializer(client, schema)
    assert (caught.value.code, caught.value.retryable) == (code, False)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_value"),
        (b"\x00\x00", "header_truncated"),
        (b'{"id": 1}', "bad_magic"),
        (b"\x00\x00\x00\x00\x00\x02", "invalid_schema_id"),
        (b"\x00\x00\x00\x00\x07", "avro_truncated"),
        (b"\x00\x00\x00\x00\x07\x02\x00\x00\x00", "avro_trailing_bytes"),
        (b"\x00\x00\x00\x00\x07\x02\x00\xff\xff\xff\xff\xff\x0f", "avro_alloc_limit"),
    ],
)
def test_bytes_that_are_no_record_have_a_code(registry: StubRegistry, data: bytes, code: str) -> None:
    client = ms.SchemaRegistryClient({"url": registry.url})
    client.register_schema("users-value", USER)
    with pytest.raises(ms.DecodeError) as caught:
        ms.AvroDeserializer(client)(data)
    assert (caught.value.code, caught.value.retryable) == (code, False)


def test_a_registry_that_is_not_there_is_retryable() -> None:
    encode = ms.AvroSerializer(ms.SchemaRegistryClient({"url": "http://127.0.0.1:1"}), USER)
    with pytest.raises(ms.RegistryError, match="cannot connect") as caught:
        encode({"id": 1}, "users")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({}, "`url` is not set"),
        ({"url": 5}, "`url` is text"),
        ({"url": "nowhere"}, "url"),
        ({"url": "http://a", "ulr": "x"}, "ulr"),
        ({"url": "http://a", "timeout": 0}, "timeout"),
        ({"url": "http://a", "basic.auth.user.info": "nobody"}, "user:password"),
        ({"url": "http://a", "ssl.ca.location": "/nowhere.pem"}, "nowhere"),
    ],
)
def test_settings_of_the_registry_that_cannot_be_used(conf: dict[str, Any], said: str) -> None:
    with pytest.raises(ms.ConfigError, match=said):
        ms.SchemaRegistryClient(conf)


def test_settings_of_the_serializer_that_cannot_be_used() -> None:
    client = ms.SchemaRegistryClient({"url": "http://a"})
    with pytest.raises(ms.ConfigError, match=r"auto\.register\.schemas"):
        ms.AvroSerializer(client, USER, conf={"auto.register": True})
