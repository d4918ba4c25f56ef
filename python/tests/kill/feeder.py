"""Sends the planned records at a bounded rate, up to an allowance that the test raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer

from .ledger import Ledger
from .workload import Planned

_TICK_SECONDS = 0.02
_FLUSH_SECONDS = 60.0


class FeederError(Exception):
    """A record was not acknowledged: the run cannot go on."""


class Feeder:
    """One producer in a thread of its own; `sent` counts what it was given, the ledger what was acknowledged."""

    def __init__(self, bootstrap_servers: str, planned: Iterator[Planned], ledger: Ledger, per_second: int) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5})
        self._planned = planned
        self._ledger = ledger
        self._per_tick = max(1, int(per_second * _TICK_SECONDS))
        self._changed = threading.Condition()
        self._ending = False
        self._refused: str | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="feeder")
        self._running: Future[None] | None = None
        self.allowance = 0
        self.sent = 0

    def __enter__(self) -> Feeder:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._executor.shutdown()

    def allow(self, total: int) -> None:
        """Let it send until `total` records are out."""
        with self._changed:
            self.allowance = max(self.allowance, total)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._running is not None and self._running.done():
            self._running.result()

    def _run(self) -> None:
        while self._wait():
            began = time.monotonic()
            for planned in self._next():
                self._send(planned)
            # Reports are served in the time that is left of the tick.
            self._producer.poll(max(0.0, began + _TICK_SECONDS - time.monotonic()))
            with self._changed:
                self._changed.wait_for(lambda: self._ending, max(0.0, began + _TICK_SECONDS - time.monotonic()))
        if self._producer.flush(_FLUSH_SECONDS):
            raise FeederError(f"records were not acknowledged within {_FLUSH_SECONDS:.0f} s")
        self._raise_refused()

    def _wait(self) -> bool:
        while True:
            self._raise_refused()
            with self._changed:
                if self._ending:
                    return False
                if self.allowance > self.sent:
                    return True
                self._changed.wait(_TICK_SECONDS)
            self._producer.poll(0)

    def _next(self) -> Iterator[Planned]:
        for _ in range(min(self._per_tick, self.allowance - self.sent)):
            yield next(self._planned)

    def _send(self, planned: Planned) -> None:
        self._producer.produce(
            self._ledger.topic,
            key=planned.key,
            value=planned.value,
            headers=list(planned.headers),
            timestamp=int(time.time() * 1000) - planned.age_ms,
            on_delivery=partial(self._report, planned),
        )
        self.sent += 1

    def _report(self, planned: Planned, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None or partition is None or offset is None:
            self._refused = self._refused or f"not delivered: {error}"
            return
        self._ledger.delivered(planned, partition, offset, message.timestamp()[1])

    def _raise_refused(self) -> None:
        if self._refused is not None:
            raise FeederError(self._refused)
