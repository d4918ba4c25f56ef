"""Ctrl-C ends a call that waits, at once, whatever it waits for."""

from __future__ import annotations

import signal
import socket
import sys
import textwrap
import time

import pytest

from millstream.sample_api import SampleApi

from . import processes

# The calls look at the signals every 50 ms and give requests on the wire 40 ms more; the rest is a busy machine's.
SOON_SECONDS = 0.5

NOWHERE = '{"bootstrap.servers": "127.0.0.1:1"}'
CALLS = {
    "fetch": """
        pages = ms.HttpSource(api + "?fail=slow&delay=30", read_timeout=60, timeout=60).pages()
        def call(): next(pages)
    """,
    "retry_after": """
        pages = ms.HttpSource(api + "?fail=429&retry_after=30").pages()
        def call(): next(pages)
    """,
    "rate_limit": """
        pages = ms.HttpSource(api, rate_limit=ms.RateLimit(0.01), paginator=ms.PageNumberPaginator()).pages()
        next(pages)
        def call(): next(pages)
    """,
    "registry": """
        client = ms.SchemaRegistryClient({"url": silent, "timeout": 60})
        def call(): client.get_subjects()
    """,
    "full_queue": f"""
        producer = ms.Producer({NOWHERE[:-1]}, "queue.buffering.max.messages": 10}})
        for _ in range(10): producer.produce("t", b"x")
        def call(): producer.produce("t", b"x")
    """,
    "flush": f"""
        producer = ms.Producer({NOWHERE})
        producer.produce("t", b"x")
        def call(): producer.flush()
    """,
    "leaving_with": f"""
        def call():
            with ms.Producer({NOWHERE}) as producer:
                producer.produce("t", b"x")
    """,
    "batch_of_records": f"""
        producer = ms.Producer({NOWHERE})
        rows = ms.Records.from_pylist([{{"a": 1}}])
        def call(): producer.produce_batch("t", rows, value_serializer=ms.JSONSerializer())
    """,
    "batch_with_a_full_queue": f"""
        producer = ms.Producer({NOWHERE[:-1]}, "queue.buffering.max.messages": 10}})
        def call(): producer.produce_batch("t", [{{"a": n}} for n in range(20)], value_serializer=ms.JSONSerializer())
    """,
    "endless_native_iterator": """
        import itertools
        producer = ms.Producer({"test.mock.num.brokers": 1})
        def call(): producer.produce_batch("t", itertools.repeat({"a": 1}), value_serializer=ms.JSONSerializer())
    """,
    "taking_in": """
        import itertools
        def call(): ms.Records.from_pylist(itertools.repeat(1))
    """,
}
SCRIPT = """
import sys, time
import millstream as ms
api, silent = sys.argv[1:]
{setup}
watch("call")
try:
    call()
except {exception}:
    print(time.monotonic(), flush=True)
    print(getattr(sys.exc_info()[1], "__notes__", None), flush=True)
"""


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_the_call(name: str, api: SampleApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        after, _ = _interrupted(name, api, silent, "KeyboardInterrupt", signal.SIGINT)
    assert after < SOON_SECONDS


@pytest.mark.parametrize("name", ["leaving_with", "batch_of_records"])
def test_the_exception_says_what_became_of_the_records(name: str, api: SampleApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, note = _interrupted(name, api, silent, "KeyboardInterrupt", signal.SIGINT)
    # Exceptions have notes from Python 3.11 on.
    assert ("0 delivered, 1 not sent, 0 unknown" if sys.version_info >= (3, 11) else "None") in note


def test_a_handlers_own_exception_goes_through(api: SampleApi) -> None:
    """Airflow's `execution_timeout` is an exception raised by SIGALRM's handler."""
    name = "batch_of_records"
    handler = """
        import signal
        def overdue(*_): raise TimeoutError("overdue")
        signal.signal(signal.SIGALRM, overdue)
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        after, _ = _interrupted(name, api, silent, "TimeoutError", signal.SIGALRM, handler)
    assert after < SOON_SECONDS


def _interrupted(
    name: str, api: SampleApi, silent: socket.socket, exception: str, number: signal.Signals, before: str = ""
) -> tuple[float, str]:
    """Seconds from the signal, sent while the call waits, to the exception, and the notes on it."""
    setup = textwrap.dedent(before) + textwrap.dedent(CALLS[name])
    script = SCRIPT.format(setup=setup, exception=exception)
    process = processes.start(script, api.url, f"http://127.0.0.1:{silent.getsockname()[1]}")
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "inside\n", process.stderr.read()
            sent = time.monotonic()
            process.send_signal(number)
            caught, notes = process.stdout.readline(), process.stdout.readline()
            assert process.wait(processes.DEADLINE_SECONDS) == 0, process.stderr.read()
        finally:
            process.kill()
    return float(caught) - sent, notes
