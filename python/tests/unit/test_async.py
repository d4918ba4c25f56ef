"""The awaitable twins: the same results and errors, and an event loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import sys
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import millstream as ms
from millstream._core import AsyncPageIterator
from millstream.sample_api import SampleApi, people

from . import processes
from .registry import SCHEMA_ID, StubRegistry

JSON = ms.JSONSerializer()
NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 60_000}
SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}'

# What `aproduce_batch()` promises of cancelling it. Of three tries the best counts, as the machine may be busy.
PROMISED_SECONDS = 0.1
TRIES = 3
# For what is not timed: far more than it takes, and far less than the records' own time.
SOON_SECONDS = 1.0


def source(api: SampleApi, query: str, **options: Any) -> ms.HttpSource:
    return ms.HttpSource(f"{api.url}?{query}", data_selector="results", **options)


def test_pages_are_those_of_the_twin(api: SampleApi) -> None:
    users = source(api, "seed=async&results=7", paginator=ms.PageNumberPaginator(maximum_page=3))

    async def walk() -> list[Any]:
        return [page.to_pylist() async for page in users.apages()]

    assert asyncio.run(walk()) == [people("async", number, 7) for number in (1, 2, 3)]
    # Another loop, the same runtime.
    assert asyncio.run(walk()) == [page.to_pylist() for page in users.pages()]


def test_after_the_last_page_the_end_is_the_end(api: SampleApi) -> None:
    async def walk() -> None:
        pages = source(api, "seed=end").apages()
        assert len(await anext(pages)) == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(pages)

    asyncio.run(walk())


def test_those_who_ask_together_get_one_page_each(api: SampleApi) -> None:
    async def walk() -> list[Any]:
        pages = source(api, "seed=together", paginator=ms.PageNumberPaginator(maximum_page=4)).apages()
        got = await asyncio.gather(*(anext(pages) for _ in range(4)))
        return sorted(page[0]["login"]["uuid"] for page in got)

    expected = [people("together", number, 1)[0]["login"]["uuid"] for number in (1, 2, 3, 4)]
    assert asyncio.run(walk()) == sorted(expected)


def test_a_page_that_failed_is_asked_for_again(api: SampleApi) -> None:
    async def walk() -> None:
        pages = source(api, "seed=async-again&fail=500&first_n=1", retry=ms.Retry(1)).apages()
        with pytest.raises(ms.FetchError) as caught:
            await anext(pages)
        assert (caught.value.status, caught.value.attempts, caught.value.retryable) == (500, 1, True)
        assert (await anext(pages)).to_pylist() == people("async-again", 1, 1)

    asyncio.run(walk())


def test_a_cancelled_page_lets_go_of_the_server_and_is_asked_for_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(processes.DEADLINE_SECONDS)
        pages = ms.HttpSource(f"http://127.0.0.1:{silent.getsockname()[1]}/").apages()

        async def cancelled() -> None:
            task = asyncio.ensure_future(anext(pages))
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                connection.settimeout(processes.DEADLINE_SECONDS)
                assert await asyncio.to_thread(connection.recv, 4) == b"GET "
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                # The end of the stream: the request was dropped, not left to run into its timeout of 10 s.
                started = time.monotonic()
                while await asyncio.to_thread(connection.recv, 4_096):
                    pass
                assert time.monotonic() - started < 5

        asyncio.run(cancelled())
        asyncio.run(cancelled())


Hold = Callable[[], None]


async def cancel_the_future(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    future = anext(pages)
    hold()
    future.cancel()
    return await future


async def cancel_the_task(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    task = asyncio.create_task(one(pages))
    await asyncio.sleep(0)
    hold()
    task.cancel()
    return await task


async def cancel_between_the_result_and_the_task(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    task = asyncio.create_task(one(pages))
    await asyncio.sleep(0)
    hold()
    # Behind what settles the future, and before the task that it wakes.
    asyncio.get_running_loop().call_soon(task.cancel)
    return await task


async def run_into_wait_for(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    task = asyncio.create_task(asyncio.wait_for(anext(pages), 0.001))
    await asyncio.sleep(0)
    hold()
    return await task


async def run_into_a_timeout(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    """As `asyncio.wait_for` is from Python 3.12 on."""

    async def timed() -> ms.Records:
        async with asyncio.timeout(0.001):
            return await anext(pages)

    task = asyncio.create_task(timed())
    await asyncio.sleep(0)
    hold()
    return await task


async def let_go_of_the_future(pages: AsyncPageIterator, hold: Hold) -> ms.Records:
    future = anext(pages)
    await asyncio.wait([future])
    gone = weakref.ref(future)
    del future
    # The thread that settled it holds it a moment longer.
    processes.wait_for("the future's end", lambda: gone() is None)
    raise TimeoutError


async def one(pages: AsyncPageIterator) -> ms.Records:
    return await anext(pages)


@pytest.mark.parametrize(
    "cut",
    [
        cancel_the_future,
        cancel_the_task,
        cancel_between_the_result_and_the_task,
        run_into_wait_for,
        run_into_a_timeout,
        let_go_of_the_future,
    ],
)
def test_a_page_that_is_cut_off_on_its_way_comes_with_the_next_call(
    api: SampleApi, cut: Callable[[AsyncPageIterator, Hold], Coroutine[Any, Any, ms.Records]]
) -> None:
    users = source(api, "seed=cut&results=2", paginator=ms.PageNumberPaginator(maximum_page=3))

    async def walk() -> list[Any]:
        ready: Any = vars(asyncio.get_running_loop())["_ready"]

        def hold() -> None:
            """Keeps the loop from its turn until the page waits there to be given out."""
            processes.wait_for("the page", lambda: len(ready) > 0)

        pages, got = users.apages(), []
        with contextlib.suppress(asyncio.CancelledError, asyncio.TimeoutError):
            got.append(await cut(pages, hold))
        # Inside of the exception or not, later calls go on where the walk is.
        got += [page async for page in pages]
        return [page.to_pylist() for page in got]

    assert asyncio.run(walk()) == [people("cut", number, 2) for number in (1, 2, 3)]


def test_a_page_is_given_to_one_call_only(api: SampleApi) -> None:
    async def walk() -> None:
        pages = source(api, "seed=cut&results=2", paginator=ms.PageNumberPaginator(maximum_page=3)).apages()
        first, second = anext(pages), anext(pages)
        await asyncio.wait([first, second])
        # Told and not yet looked at is not lost: the walk goes on behind it.
        third = await anext(pages)
        got = [future.result() for future in (first, second)] + [third]
        assert [page.to_pylist() for page in got] == [people("cut", number, 2) for number in (1, 2, 3)]
        with pytest.raises(StopAsyncIteration):
            await anext(pages)

    asyncio.run(walk())


def test_the_loop_goes_on_while_a_page_is_fetched(api: SampleApi) -> None:
    async def walk() -> int:
        turns = 0
        page = asyncio.ensure_future(anext(source(api, "seed=turns&fail=slow&delay=0.001").apages()))
        while not page.done():
            turns += 1
            await asyncio.sleep(0.001)
        await page
        return turns

    assert asyncio.run(walk()) > 10


@pytest.mark.parametrize("held", [False, True], ids=["list", "Records"])
def test_a_report_accounts_for_every_record(producer: ms.Producer, held: bool) -> None:
    rows: Any = [{"id": n} for n in range(1_000)]
    rows = ms.Records.from_pylist(rows)[:500] if held else iter(rows[:500])

    async def send() -> ms.ProduceReport:
        return await producer.aproduce_batch("async", rows, key_field="id", value_serializer=JSON)

    report = asyncio.run(send())
    assert isinstance(report, ms.ProduceReport)
    assert (report.topic, report.delivered, report.not_sent, report.unknown) == ("async", 500, (), ())
    assert sum(last - first + 1 for first, last in report.offsets.values()) == 500


def test_many_batches_at_once(producer: ms.Producer) -> None:
    async def send() -> list[ms.ProduceReport]:
        rows = ms.Records.from_pylist([{"id": n} for n in range(100)])
        batches = [producer.aproduce_batch(f"many-{n}", rows, value_serializer=JSON) for n in range(20)]
        return await asyncio.gather(*batches)

    assert [report.delivered for report in asyncio.run(send())] == [100] * 20


def test_the_registry_is_asked_once_and_not_by_the_loop(producer: ms.Producer, registry: StubRegistry) -> None:
    avro = ms.AvroSerializer(ms.SchemaRegistryClient({"url": registry.url}), SCHEMA)

    async def send() -> int:
        return (await producer.aproduce_batch("avro", [{"id": "a"}], value_serializer=avro)).delivered

    assert [asyncio.run(send()), asyncio.run(send())] == [1, 1]
    assert len(registry.seen) == 1
    framed = avro({"id": "a"}, "avro")
    assert framed is not None
    assert framed[:5] == bytes([0, 0, 0, 0, SCHEMA_ID])
    assert len(registry.seen) == 1


def test_a_registry_that_is_not_there(producer: ms.Producer) -> None:
    avro = ms.AvroSerializer(ms.SchemaRegistryClient({"url": "http://127.0.0.1:1", "timeout": 0.5}), SCHEMA)

    async def send() -> None:
        started = time.monotonic()
        sending = producer.aproduce_batch("avro", [{"id": "a"}], value_serializer=avro)
        assert time.monotonic() - started < 0.2
        with pytest.raises(ms.RegistryError) as caught:
            await sending
        assert caught.value.retryable

    asyncio.run(send())


@pytest.mark.parametrize(
    "rows", [[{"id": 0}, {"id": float("nan")}, {"id": 2}], [{"id": 0}, {"id": None}, {"id": 2}]], ids=["value", "key"]
)
def test_errors_are_those_of_the_twin(producer: ms.Producer, rows: list[Any]) -> None:
    async def send() -> None:
        await producer.aproduce_batch("errors", rows, key_field="id", value_serializer=JSON)

    def facts(call: Callable[[], object]) -> Any:
        with pytest.raises(ms.EncodeError) as caught:
            call()
        error = caught.value
        assert error.report is not None
        return str(error), error.index, error.path, error.report.delivered, error.report.not_sent

    twin = facts(lambda: producer.produce_batch("errors", rows, key_field="id", value_serializer=JSON))
    assert facts(lambda: asyncio.run(send())) == twin
    assert twin[3] == 1


def test_brokers_that_are_not_there() -> None:
    producer = ms.Producer({**NOWHERE, "message.timeout.ms": 300})

    async def send() -> None:
        await producer.aproduce_batch("users", [{"id": n} for n in range(20)], value_serializer=JSON)

    with pytest.raises(ms.ProduceError, match="not_sent") as caught:
        asyncio.run(send())
    assert (caught.value.code, caught.value.retryable) == ("MessageTimedOut", True)
    assert caught.value.report is not None
    assert caught.value.report.not_sent == tuple(range(20))


def test_what_is_wrong_with_the_call_is_told_by_the_call(producer: ms.Producer) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        raise LookupError("no more")

    async def send() -> None:
        for arguments, error in (
            (("a b", []), ms.ConfigError),
            (("t", 5), TypeError),
            (("t", {"id": 1}), TypeError),
            (("t", rows()), LookupError),
        ):
            with pytest.raises(error) as caught:
                producer.aproduce_batch(*arguments)
            if error is LookupError:
                assert getattr(caught.value, "__notes__", None) in (None, ["aproduce_batch to t: nothing was sent"])
        producer.close()
        with pytest.raises(ms.ClosedError):
            producer.aproduce_batch("t", [])

    asyncio.run(send())


def test_without_a_loop_nothing_begins(producer: ms.Producer, api: SampleApi) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        producer.aproduce_batch("t", [b"x"])
    before = api.requests
    pages = source(api, "seed=loop").apages()
    with pytest.raises(RuntimeError, match="no running event loop"):
        pages.__anext__()
    assert api.requests == before


def test_a_cancelled_batch_is_purged_and_the_next_one_is_not() -> None:
    # The queue is as small as the batch: only a purge makes room for the second one.
    producer = ms.Producer({**NOWHERE, "queue.buffering.max.messages": 10})
    rows = ms.Records.from_pylist([{"id": n} for n in range(10)])

    async def send() -> None:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(producer.aproduce_batch("t", rows, value_serializer=JSON), 0.1)
        assert time.monotonic() - started < 3 * (0.1 + SOON_SECONDS)
        # Nothing purges this one: it is still waiting, where a batch purged with the others would have raised.
        last = producer.aproduce_batch("t", rows, value_serializer=JSON)
        done, _ = await asyncio.wait([last], timeout=SOON_SECONDS)
        assert not done
        last.cancel()

    asyncio.run(send())


def test_a_batch_beside_a_cancelled_one_says_what_became_of_it() -> None:
    producer = ms.Producer(NOWHERE)

    async def send() -> None:
        stays, goes = (producer.aproduce_batch("t", [b"x"] * n) for n in (3, 5))
        # Both are queued before the one is cancelled: neither can end, as no broker is there.
        await asyncio.wait([stays, goes], timeout=0.3)
        goes.cancel()
        with pytest.raises(ms.ProduceError) as caught:
            await asyncio.wait_for(stays, processes.DEADLINE_SECONDS)
        assert caught.value.retryable
        assert caught.value.report is not None
        assert caught.value.report.not_sent == (0, 1, 2)

    asyncio.run(send())


def test_cancelling_the_task_cancels_the_batch() -> None:
    async def seconds() -> float:
        producer = ms.Producer({**NOWHERE, "queue.buffering.max.messages": 10})

        async def work() -> None:
            await producer.aproduce_batch("t", ms.Records.from_pylist([b"x"] * 20))

        task = asyncio.create_task(work())
        await asyncio.wait([task], timeout=0.2)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The queue was full of what the batch had put there; one place is free again once that is purged.
        producer.produce("t", b"x")
        passed = time.monotonic() - started
        assert len(producer) == 1
        with pytest.raises(ms.ProduceError, match="under way"):
            producer.flush(0.01)
        with pytest.raises(KeyError), producer:
            raise KeyError
        return passed

    assert min(asyncio.run(seconds()) for _ in range(TRIES)) <= PROMISED_SECONDS


def test_an_exception_in_the_block_ends_the_awaited_batches() -> None:
    producer = ms.Producer({**NOWHERE, "queue.buffering.max.messages": 10})

    async def left(batches: list[asyncio.Future[ms.ProduceReport]]) -> None:
        with producer:
            batches.append(producer.aproduce_batch("t", ms.Records.from_pylist([b"x"] * 1_000)))
            # The queue is full: most of the records are not in it yet.
            await asyncio.wait(batches, timeout=0.2)
            raise KeyError

    async def send() -> None:
        batches: list[asyncio.Future[ms.ProduceReport]] = []
        with pytest.raises(KeyError) as caught:
            await left(batches)
        if sys.version_info >= (3, 11):
            notes = [note for note in caught.value.__notes__ if "aproduce_batch()" in note]
            assert len(notes) == 1
            assert notes[0].endswith("0 delivered, 1000 not sent, 0 unknown")
        with pytest.raises(ms.ProduceError, match="interrupted") as ended:
            await asyncio.wait_for(batches[0], SOON_SECONDS)
        assert ended.value.report is not None
        assert len(ended.value.report.not_sent) == 1_000

    asyncio.run(send())


def test_batches_that_wait_for_their_turn_end_with_the_block() -> None:
    producer = ms.Producer(NOWHERE)

    async def left(batches: list[asyncio.Future[ms.ProduceReport]]) -> None:
        with producer:
            batches.extend(producer.aproduce_batch("t", [b"x"]) for _ in range(100))
            await asyncio.wait(batches, timeout=0.2)
            raise KeyError

    async def send() -> None:
        batches: list[asyncio.Future[ms.ProduceReport]] = []
        with pytest.raises(KeyError):
            await left(batches)
        ended = await asyncio.wait_for(asyncio.gather(*batches, return_exceptions=True), processes.DEADLINE_SECONDS)
        assert {type(error) for error in ended} == {ms.ProduceError, ms.ClosedError}

    asyncio.run(send())


def test_leaving_the_block_waits_for_the_awaited_batches() -> None:
    async def send() -> None:
        started = time.monotonic()
        with ms.Producer({**NOWHERE, "message.timeout.ms": 400}) as producer:
            batch = producer.aproduce_batch("t", [b"x"])
        assert time.monotonic() - started >= 0.4
        with pytest.raises(ms.ProduceError, match="not_sent"):
            await batch

    asyncio.run(send())


def test_batches_that_wait_for_brokers_hold_up_nothing_else(api: SampleApi) -> None:
    producer = ms.Producer(NOWHERE)

    async def send() -> None:
        # More than the runtime has threads.
        batches = [producer.aproduce_batch("t", [b"x"]) for _ in range(600)]
        await asyncio.wait(batches, timeout=0.1)
        page = await asyncio.wait_for(anext(source(api, "seed=beside").apages()), processes.DEADLINE_SECONDS)
        assert len(page) == 1
        for batch in batches:
            batch.cancel()

    asyncio.run(send())


def test_the_twins_take_the_same_arguments() -> None:
    for ours, theirs in (
        (ms.Producer.aproduce_batch, ms.Producer.produce_batch),
        (ms.HttpSource.apages, ms.HttpSource.pages),
    ):
        assert inspect.signature(ours).parameters.keys() == inspect.signature(theirs).parameters.keys()


def test_a_signal_ends_the_reading_of_an_endless_iterable() -> None:
    output = processes.run("""
        import asyncio, itertools, signal
        import millstream as ms
        producer = ms.Producer({"test.mock.num.brokers": 1})

        def ring(*_):
            raise TimeoutError

        async def main():
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                producer.aproduce_batch("t", itertools.repeat({"a": 1}), value_serializer=ms.JSONSerializer())
            except TimeoutError:
                print("ended")

        asyncio.run(main())
    """)
    assert output == "ended\n"


SCRIPT = """
    import asyncio, gc, os, sys, time, weakref
    import millstream as ms
    source = ms.HttpSource(sys.argv[1] + "?seed=fork&results=20", data_selector="results")
    producer = ms.Producer({"test.mock.num.brokers": 1})

    async def use():
        async for page in source.apages():
            rows = page.select({"id": "login.uuid"})
            report = await producer.aproduce_batch("users", rows, key_field="id", value_serializer=ms.JSONSerializer())
            assert report.delivered == 20, report

    def forked(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
"""


def run(api: SampleApi, script: str) -> str:
    return processes.run(inspect.cleandoc(SCRIPT) + "\n" + inspect.cleandoc(script), api.url)


def test_a_forked_child_has_a_runtime_of_its_own(api: SampleApi) -> None:
    run(
        api,
        """
        asyncio.run(use())
        forked(lambda: asyncio.run(use()))
        asyncio.run(use())
        forked(lambda: forked(lambda: asyncio.run(use())))
        """,
    )


def test_a_fork_while_the_loop_runs(api: SampleApi) -> None:
    run(
        api,
        """
        async def main():
            pages = source.apages()
            under_way = [asyncio.ensure_future(use()) for _ in range(5)]

            def child():
                # The parent's loop is not the child's.
                asyncio.events._set_running_loop(None)
                try:
                    asyncio.run(walk_on())
                except ms.ConfigError as error:
                    assert "apages()" in str(error)
                else:
                    raise AssertionError("the child walked on")
                asyncio.run(use())

            async def walk_on():
                await anext(pages)

            for _ in range(5):
                forked(child)
                await asyncio.sleep(0)
            await asyncio.gather(*under_way)
            assert len(await anext(pages)) == 20

        # The parent's client is connected before the fork. While it looks up a broker's name, a child that looks up one
        # waits for ever in glibc, which is not about coroutines: test_fork.py has what is left of that.
        asyncio.run(use())
        asyncio.run(main())
        """,
    )


def test_a_child_that_drops_the_parents_futures(api: SampleApi) -> None:
    """Dropping or cancelling one wakes the task behind it, which is on threads that the child does not have."""
    run(
        api,
        """
        async def main():
            under_way = [asyncio.ensure_future(use()) for _ in range(20)]
            waiting = [anext(ms.HttpSource(sys.argv[1] + "?fail=slow&delay=30").apages()) for _ in range(20)]
            await asyncio.sleep(0.001)

            def child():
                asyncio.events._set_running_loop(None)
                for future in waiting[:10]:
                    future.cancel()
                    for callback, context in future._callbacks or []:
                        callback(future)
                waiting.clear()
                under_way.clear()
                gc.collect()
                asyncio.run(use())

            for _ in range(5):
                forked(child)
                await asyncio.sleep(0.001)
            await asyncio.gather(*under_way)
            # The parent's requests still wait for their server.
            assert not any(future.done() for future in waiting)

        asyncio.run(use())
        asyncio.run(main())
        """,
    )


def test_a_future_that_settles_after_its_loop_was_closed(api: SampleApi) -> None:
    output = run(
        api,
        """
        import logging
        logging.getLogger("millstream").addHandler(logging.NullHandler())
        nowhere = ms.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
        page = ms.HttpSource(sys.argv[1] + "?seed=late&fail=slow&delay=0.001", data_selector="results").apages()
        late = []

        async def main():
            # A result, an error, and one that is cancelled.
            futures = [anext(page), nowhere.aproduce_batch("t", [b"x"]), nowhere.aproduce_batch("t", [b"x"])]
            futures[2].cancel()
            late.extend(map(weakref.ref, [*futures, asyncio.get_running_loop()]))

        asyncio.run(main())
        deadline = time.monotonic() + 20
        # Whoever settles a future holds it, and its loop, until then.
        while any(future() is not None for future in late):
            assert time.monotonic() < deadline, late
            time.sleep(0.01)
            ms.features()
            gc.collect()
        print("ended")
        """,
    )
    assert output == "ended\n"


def test_a_process_ends_with_work_that_nobody_awaits(api: SampleApi) -> None:
    output = run(
        api,
        """
        import logging
        logging.getLogger("millstream").addHandler(logging.NullHandler())
        nowhere = ms.Producer({"bootstrap.servers": "127.0.0.1:1"})
        slow = ms.HttpSource(sys.argv[1] + "?fail=slow&delay=30")

        async def main():
            sys.held = [nowhere.aproduce_batch("t", [b"x"]), anext(slow.apages())]
            cancelled = nowhere.aproduce_batch("t", [b"x"])
            await asyncio.sleep(0)
            cancelled.cancel()

        asyncio.run(main())
        print("ended")
        """,
    )
    assert output == "ended\n"
