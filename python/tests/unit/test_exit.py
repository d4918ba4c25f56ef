"""A process ends as it should, whatever it still holds."""

from __future__ import annotations

import textwrap

import pytest

from . import processes

QUIET = """
import logging, sys, threading, time
import millstream as ms
logging.getLogger("millstream").addHandler(logging.NullHandler())
"""
SCRIPTS = {
    "records_under_way": """
        sys.held = ms.Producer({"bootstrap.servers": "127.0.0.1:1"})
        sys.held.produce("users", b"x")
    """,
    "a_thread_that_waits": """
        producer = ms.Producer({"bootstrap.servers": "127.0.0.1:1"})
        threading.Thread(target=lambda: producer.produce_batch("users", [b"x"]), daemon=True).start()
        while not len(threading.enumerate()) > 1:
            time.sleep(0.01)
    """,
    "used_while_the_interpreter_goes": """
        class Late:
            def __del__(self):
                try:
                    self.producer.produce_batch("users", [b"x"])
                except BaseException:
                    pass

        sys.held = Late()
        sys.held.producer = ms.Producer({"test.mock.num.brokers": 1})
    """,
    "awaited_by_an_earlier_exit_handler": """
        import asyncio, atexit
        producer = ms.Producer({"test.mock.num.brokers": 1})

        async def send():
            return await producer.aproduce_batch("users", [b"x"])

        def late():
            try:
                asyncio.run(send())
            except RuntimeError as error:
                assert "produce_batch()" in str(error)
            else:
                raise AssertionError("it was awaited")
            assert producer.produce_batch("users", [b"x"]).delivered == 1

        atexit.register(late)
        assert asyncio.run(send()).delivered == 1
    """,
    "a_pool_of_forks": """
        import multiprocessing
        producer = ms.Producer({"test.mock.num.brokers": 1})

        def work(count):
            return producer.produce_batch("users", [b"x"] * count).delivered

        producer.produce_batch("users", [b"x"])
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, [1, 2, 3]) == [1, 2, 3]
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_process_ends(name: str) -> None:
    assert processes.run(QUIET + textwrap.dedent(SCRIPTS[name])) == ""
