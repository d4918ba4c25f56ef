"""Ctrl-C ends a call that waits, at once, whatever it waits for."""

from __future__ import annotations

import signal
import socket
import sys
import textwrap

import pytest

from millstream.sample_api import SampleApi

from . import processes

# From the signal to the exception: the calls look at the signals every 25 ms, give requests on the wire 30 ms more, and
# what is left is for ending a client. Of three tries the best counts, as the machine may be busy.
PROMISED_SECONDS = 0.1
TRIES = 3
# Signals at these moments of a call: one that looked too seldom would be lucky with some of them, not with all.
PHASES = (0.0, 0.025, 0.05, 0.075)

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
    "batch_of_large_records": """
        producer = ms.Producer({"test.mock.num.brokers": 1, "message.max.bytes": 10_000_000})
        rows = ms.Records.from_pylist([{"numbers": list(range(20_000))}] * 300)
        def call():
            while True: producer.produce_batch("t", rows, value_serializer=ms.JSONSerializer())
    """,
    "awaited_batch_of_large_objects": """
        import asyncio, itertools
        producer = ms.Producer({"test.mock.num.brokers": 1})
        large = itertools.repeat(["x" * 10] * 20_000)
        async def send(): await producer.aproduce_batch("t", large, value_serializer=ms.JSONSerializer())
        def call(): asyncio.run(send())
    """,
    "batch_of_large_objects": """
        import itertools
        producer = ms.Producer({"test.mock.num.brokers": 1, "message.max.bytes": 10_000_000})
        large = itertools.repeat(["x" * 10] * 100_000)
        def call(): producer.produce_batch("t", large, value_serializer=ms.JSONSerializer())
    """,
    "taking_in": """
        import itertools
        def call(): ms.Records.from_pylist(itertools.repeat(1))
    """,
    "taking_in_large_records": """
        import itertools
        def call(): ms.Records.from_pylist(itertools.repeat(["x" * 10] * 1_000))
    """,
    "giving_out": """
        rows = ms.Records.from_pylist([list(range(1_000))] * 5_000)
        def call():
            while True: rows.to_pylist()
    """,
    "select": """
        rows = ms.Records.from_pylist([{"text": "x" * 1_000}] * 40_000)
        columns = {f"text_{n}": "text" for n in range(100)}
        def call():
            while True: rows.select(columns)
    """,
    "remap": """
        rows = ms.Records.from_pylist([{"text": "a," * 10_000}] * 2_000)
        program = ms.Remap('. = {"parts": length(split(string!(.text), ","))}')
        def call():
            while True: rows.remap(program)
    """,
    "filter_by_an_expression": """
        rows = ms.Records.from_pylist([{"text": "a," * 10_000}] * 2_000)
        def call():
            while True: rows.filter('length(split(string!(.text), ",")) > 10')
    """,
    # Functions that are native themselves: a Python one would look at the signals.
    "filter": """
        rows = ms.Records.from_pylist([list(range(1_000))] * 5_000)
        def call():
            while True: rows.filter(len)
    """,
    "map": """
        rows = ms.Records.from_pylist([list(range(1_000))] * 5_000)
        def call():
            while True: rows.map(tuple)
    """,
}
SCRIPT = """
import logging, signal, sys, time
import millstream as ms
logging.getLogger("millstream").addHandler(logging.NullHandler())
api, silent = sys.argv[1:]
{setup}
watch("call")
try:
    call()
except {exception}:
    error = sys.exc_info()[1]
    print(repr(error), getattr(error, "__notes__", None), flush=True)
"""
# An interval timer rings while the call holds the interpreter too, which a thread of the script could not.
MEASURING = """
import logging, signal, sys, time
import millstream as ms
logging.getLogger("millstream").addHandler(logging.NullHandler())
api, silent = sys.argv[1:]
{setup}
signal.signal(signal.SIGALRM, signal.default_int_handler)

def seconds(delay):
    rings = time.monotonic() + delay
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        call()
    except KeyboardInterrupt:
        return time.monotonic() - rings
    raise AssertionError("the call ended by itself")

def best(delay):
    tries = []
    while len(tries) < {tries} and min(tries, default=1) > {promised}:
        tries.append(seconds(delay))
    return min(tries)

print(*(f"{{best(0.2 + phase):.3f}}" for phase in {phases}))
"""


@pytest.mark.parametrize("name", CALLS)
def test_a_signal_ends_the_call(name: str, api: SampleApi) -> None:
    setup = textwrap.dedent(CALLS[name])
    script = MEASURING.format(setup=setup, tries=TRIES, promised=PROMISED_SECONDS, phases=PHASES)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        output = processes.run(script, api.url, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert max(map(float, output.split())) <= PROMISED_SECONDS, output


@pytest.mark.parametrize("name", ["leaving_with", "batch_of_records"])
def test_the_exception_says_what_became_of_the_records(name: str, api: SampleApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = _interrupted(name, api, silent, "KeyboardInterrupt", signal.SIGINT)
    # Exceptions have notes from Python 3.11 on.
    assert ("0 delivered, 1 not sent, 0 unknown" if sys.version_info >= (3, 11) else "None") in told


def test_a_handlers_own_exception_goes_through(api: SampleApi) -> None:
    """Airflow's `execution_timeout` is an exception raised by SIGALRM's handler."""
    name = "batch_of_records"
    handler = """
        import signal
        def overdue(*_): raise TimeoutError("overdue")
        signal.signal(signal.SIGALRM, overdue)
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = _interrupted(name, api, silent, "TimeoutError", signal.SIGALRM, handler)
    assert told.startswith("TimeoutError('overdue') ")


def _interrupted(
    name: str, api: SampleApi, silent: socket.socket, exception: str, number: signal.Signals, before: str = ""
) -> str:
    """The exception that a signal raised, sent while the call waits, and the notes on it."""
    setup = textwrap.dedent(before) + textwrap.dedent(CALLS[name])
    script = SCRIPT.format(setup=setup, exception=exception)
    process = processes.start(script, api.url, f"http://127.0.0.1:{silent.getsockname()[1]}")
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "inside\n", process.stderr.read()
            process.send_signal(number)
            told = process.stdout.readline()
            assert process.wait(processes.DEADLINE_SECONDS) == 0, process.stderr.read()
        finally:
            process.kill()
    return told
