"""Rust's log lines are Python's."""

from __future__ import annotations

import logging
import time

import pytest

import millstream as ms
from millstream.sample_api import SampleApi

from . import processes


def test_librdkafkas_lines_reach_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="millstream")
    producer = ms.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
    with pytest.raises(ms.ProduceError, match=r"127\.0\.0\.1:1"):
        producer.produce_batch("users", [{"a": 1}], value_serializer=ms.JSONSerializer())
    lines = [record for record in caplog.records if record.name == "millstream.kafka"]
    assert any("127.0.0.1:1" in line.getMessage() for line in lines)
    assert {line.levelno for line in lines} <= {logging.INFO, logging.WARNING}


def test_a_request_that_is_repeated_leaves_a_line(api: SampleApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="millstream")
    url = f"{api.url}?seed=logged&fail=500&first_n=2&api_key=swordfish"
    source = ms.HttpSource(url, data_selector="results", retry=ms.Retry(4, backoff_base=0.01))
    assert len(next(source.pages())) == 1
    lines = [record for record in caplog.records if record.name == "millstream.source"]
    assert [line.levelno for line in lines] == [logging.WARNING] * 2
    for attempt, line in enumerate(lines, 1):
        text = line.getMessage()
        assert text.startswith(api.url)
        assert "api_key=***" in text
        assert "swordfish" not in text
        assert "answered 500" in text
        assert f"attempt {attempt} of 4, the next in 0.0 s" in text


@pytest.mark.parametrize("walk", ["next(source.pages())", "asyncio.run(one(source.apages()))"])
def test_the_line_comes_before_the_wait(api: SampleApi, walk: str) -> None:
    """Who looks at a task's log while it waits for a server sees what it waits for."""
    script = f"""
        import asyncio, logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
        import millstream as ms
        source = ms.HttpSource(sys.argv[1], retry=ms.Retry(2))

        async def one(pages):
            await anext(pages)

        {walk}
    """
    with processes.start(script, api.url + "?seed=waits&fail=429&retry_after=30") as process:
        assert process.stdout is not None
        started = time.monotonic()
        try:
            line = process.stdout.readline()
        finally:
            process.kill()
    assert time.monotonic() - started < 20
    assert line.startswith("WARNING millstream.source ")
    assert "429" in line
    assert "the next in 30.0 s" in line


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
