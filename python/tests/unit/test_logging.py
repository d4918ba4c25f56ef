"""Rust's log lines are Python's."""

from __future__ import annotations

import logging

import pytest

import millstream as ms

from . import processes


def test_librdkafkas_lines_reach_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="millstream")
    producer = ms.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
    with pytest.raises(ms.ProduceError, match=r"127\.0\.0\.1:1"):
        producer.produce_batch("users", [{"a": 1}], value_serializer=ms.JSONSerializer())
    lines = [record for record in caplog.records if record.name == "millstream.kafka"]
    assert any("127.0.0.1:1" in line.getMessage() for line in lines)
    assert {line.levelno for line in lines} <= {logging.INFO, logging.WARNING}


def test_nothing_is_written_to_the_standard_outputs() -> None:
    output = processes.run("""
        import logging
        logging.getLogger().addHandler(logging.NullHandler())
        import millstream as ms
        producer = ms.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300, "debug": "broker"})
        try:
            producer.produce_batch("users", [{"a": 1}], value_serializer=ms.JSONSerializer())
        except ms.ProduceError:
            pass
        try:
            ms.Remap("nothing here }")
        except ms.RemapError:
            pass
    """)
    assert output == ""


def test_a_handler_that_raises_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            raise ZeroDivisionError

    seen: list[str] = []
    raised: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: raised.append(error.exc_type))
    handler = Broken()
    logging.getLogger("millstream").addHandler(handler)
    try:
        producer = ms.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
        with pytest.raises(ms.ProduceError):
            producer.produce_batch("users", [{"a": 1}], value_serializer=ms.JSONSerializer())
    finally:
        logging.getLogger("millstream").removeHandler(handler)
    assert seen
    assert set(raised) == {ZeroDivisionError}
