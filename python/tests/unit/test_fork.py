"""Airflow forks: objects of the parent work in the child, and nobody waits for threads that are not there."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from millstream.sample_api import SampleApi

from . import processes
from .registry import StubRegistry

PREAMBLE = """
import logging, os, sys, threading, time, traceback
import millstream as ms

# What librdkafka says of brokers that are not there would reach standard error by Python's last resort.
logging.getLogger("millstream").addHandler(logging.NullHandler())

api, registry_url = sys.argv[1:]
source = ms.HttpSource(api + "?seed=fork&results=20", data_selector="results")
registry = ms.SchemaRegistryClient({"url": registry_url})
schema = '{"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}'
avro = ms.AvroSerializer(registry, schema)
producer = ms.Producer({"test.mock.num.brokers": 1})

def use():
    (page,) = source.pages()
    rows = page.select({"id": "login.uuid"})
    for serializer in (ms.JSONSerializer(), avro):
        report = producer.produce_batch("users", rows, key_field="id", value_serializer=serializer)
        assert report.delivered == 20
    assert registry.register_schema("again", schema) == 7
    producer.produce("users", b"one")
    assert producer.flush() == 0
    return rows

def forked(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + 20
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, status
            return
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise TimeoutError("the child hangs")
        time.sleep(0.01)
"""


Run = Callable[[str], str]


@pytest.fixture
def run(api: SampleApi, registry: StubRegistry) -> Run:
    return lambda script: processes.run(PREAMBLE + textwrap.dedent(script), api.url, registry.url)


def test_the_child_works_after_the_parent_did_and_the_parent_after_the_child(run: Run) -> None:
    run("""
        rows = use()
        forked(use)
        use()
        forked(lambda: forked(use))
        assert len(rows.to_pylist()) == 20
    """)


def test_the_parent_works_after_only_the_child_did(run: Run) -> None:
    run("""
        forked(use)
        use()
        forked(use)
    """)


def test_a_fork_in_the_middle_of_everything(run: Run) -> None:
    run("""
        stop = threading.Event()
        failures = []

        def busy():
            try:
                while not stop.is_set():
                    use()
            except BaseException:
                failures.append(traceback.format_exc())

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            forked(use)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures, failures[0]
    """)


def test_what_the_parent_has_under_way_stays_the_parents(run: Run) -> None:
    run("""
        waiting = ms.Producer({"bootstrap.servers": "127.0.0.1:1"})
        waiting.produce("users", b"one")
        assert len(waiting) == 1

        def child():
            assert len(waiting) == 0
            waiting.close()

        forked(child)
        assert len(waiting) == 1
        try:
            with waiting:
                raise KeyError("done")
        except KeyError as error:
            (note,) = error.__notes__
            assert note == "producer: of the records given to produce(), 0 delivered, 1 not sent, 0 unknown"
    """)


def test_a_walk_begun_in_the_parent_is_refused_in_the_child(run: Run) -> None:
    run("""
        pages = source.pages()

        def child():
            try:
                next(pages)
            except ms.ConfigError as error:
                assert "pages()" in str(error)
            else:
                raise AssertionError("the child walked on")
            (page,) = source.pages()

        forked(child)
        assert len(next(pages)) == 20
    """)


def test_a_child_may_end_as_any_python_does(run: Run) -> None:
    run("""
        use()
        pid = os.fork()
        if pid == 0:
            use()
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        use()
    """)


def test_a_child_ends_whatever_glibc_had_locked(run: Run) -> None:
    """A child that is forked while another thread looks up a name never looks up one itself: no broker can be reached.

    That is glibc's (the lock of `getaddrinfo` stays locked), so records are not sent; but the call ends, the block is
    left, and the error says that another try may do.
    """
    run("""
        import socket

        def look_up():
            while True:
                socket.getaddrinfo("127.0.0.1", 1, flags=socket.AI_ADDRCONFIG)

        for _ in range(4):
            threading.Thread(target=look_up, daemon=True).start()
        reading, writing = os.pipe()

        def child():
            try:
                with ms.Producer({"test.mock.num.brokers": 1, "message.timeout.ms": 1000}) as producer:
                    producer.produce_batch("users", [b"one"])
            except ms.ProduceError as error:
                assert error.retryable
                assert error.report.not_sent == (0,)
                os.write(writing, b"1")

        for _ in range(10):
            forked(child)
        # Else no child had the lock locked, and nothing was shown.
        os.close(writing)
        assert os.read(reading, 10)
    """)
