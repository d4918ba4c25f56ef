"""The bytes of readiness, against the protocols' descriptions and another implementation."""

from __future__ import annotations

import pytest
from cassandra.protocol import OptionsMessage, ProtocolHandler, StartupMessage

from millstream.devstack import cql_protocol, kafka_protocol, postgres_protocol
from millstream.devstack.kafka_protocol import NewTopic, TopicOutcome

CLIENT = "0013" + b"millstream-devstack".hex()


def test_api_versions_request() -> None:
    expected = "0000001d0012000000000007" + CLIENT
    assert kafka_protocol.api_versions_request(7).hex() == expected


def test_api_versions_answer() -> None:
    kafka_protocol.check_api_versions(bytes.fromhex("00000007000000000001001200000004"), 7)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("", "ends at byte 0"),
        ("00000007", "ends at byte 4"),
        ("00000008000000000001", "answer to request 8"),
        ("00000007002300000000", "error 35"),
        ("00000007000000000000", "knows no request"),
        (b"HTTP/1.1 400".hex(), "this is no Kafka broker"),
    ],
)
def test_api_versions_answers_that_are_none(answer: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kafka_protocol.check_api_versions(bytes.fromhex(answer), 7)


def test_create_topics_request() -> None:
    topic = NewTopic("t", 6, {"a": "b"})
    expected = (
        "0000003d" "0013" "0004" "00000001" + CLIENT + "00000001"
        "0001" "74" "00000006" "0001" "00000000"
        "00000001" "0001" "61" "0001" "62"
        "00002710" "00"
    )  # fmt: skip
    assert kafka_protocol.create_topics_request([topic], 1, 10_000).hex() == expected


def test_create_topics_answer() -> None:
    answer = bytes.fromhex("0000000100000000000000020001740000ffff000175002400026e6f")
    outcomes = kafka_protocol.parse_create_topics(answer, 1)
    assert outcomes == [TopicOutcome("t", 0, ""), TopicOutcome("u", 36, "no")]


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_create_topics_answer_cut_anywhere_is_refused(cut: int) -> None:
    answer = bytes.fromhex("0000000100000000000000020001740000ffff000175002400026e6f")
    with pytest.raises(ValueError, match="ends at byte"):
        kafka_protocol.parse_create_topics(answer[: len(answer) - cut], 1)


def driver_bytes(message: object, stream: int) -> bytes:
    encoded: bytes = ProtocolHandler.encode_message(
        message, stream, protocol_version=4, compressor=None, allow_beta_protocol_version=False
    )
    return encoded


def test_cql_frames_are_those_of_the_driver() -> None:
    assert cql_protocol.options_request(1) == driver_bytes(OptionsMessage(), 1)
    assert cql_protocol.startup_request(2) == driver_bytes(StartupMessage(cqlversion="3.0.0", options={}), 2)


def test_cql_header() -> None:
    assert cql_protocol.parse_header(bytes.fromhex("840000010600000042")) == (1, cql_protocol.SUPPORTED, 0x42)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "0 bytes"),
        (b"HTTP/1.1 ", "no CQL server"),
        (bytes.fromhex("850000010600000042"), "no CQL server"),
        (bytes.fromhex("840000010600200000"), "frame body of 2097152 bytes"),
        (bytes.fromhex("8400000106ffffffff"), "frame body of -1 bytes"),
    ],
)
def test_cql_headers_that_are_none(header: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cql_protocol.parse_header(header)


def test_postgres_startup_packet() -> None:
    body = b"user\0me\0database\0db\0\0"
    assert postgres_protocol.startup_packet("me", "db") == bytes.fromhex("0000001d00030000") + body


def test_postgres_asks_for_a_login() -> None:
    assert postgres_protocol.parse_header(bytes.fromhex("5200000008")) == ("R", 4)
    postgres_protocol.check_first_answer("R", bytes.fromhex("00000005"))


def test_postgres_that_still_starts_is_not_ready() -> None:
    body = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    with pytest.raises(ValueError, match="57P03: the database system is starting up"):
        postgres_protocol.check_first_answer("E", body)


@pytest.mark.parametrize("header", [b"", b"R\0\0", b"HTTP/", b"R\xff\xff\xff\xff", b"R\0\x10\0\0"])
def test_postgres_headers_that_are_none(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"no PostgreSQL server|message header of"):
        postgres_protocol.parse_header(header)
