"""Sends the planned records at a bounded rate, up to an allowance that the test raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer

from .ledger import Ledger
from .workload import Planned

_TICK_SECONDS = 0.02
_FLUSH_SECONDS = 60.0


class Feeder:
    """One producer in a thread of its own; `sent` counts what it was given, the ledger what was acknowledged."""

    def __init__(self, bootstrap_servers: str, topic: str, planned: Iterator[Planned], ledger: Ledger, per_second: int) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5})
        self._topic = topic
        self._planned = planned
        self._ledger = ledger
        self._per_tick = max(1, int(per_second * _TICK_SECONDS))
        self._changed = threading.Condition()
        self._allowance = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.sent = 0
        self.failure: str | None = None

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(_FLUSH_SECONDS)

    def allow(self, total: int) -> None:
        """Let it send until `total` records are out."""
        with self._changed:
            self._allowance = max(self._allowance, total)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while self._wait():
                began = time.monotonic()
                self._send(min(self._per_tick, self._allowance - self.sent))
                # Reports are served in the time that is left of the tick.
                self._producer.poll(max(0.0, began + _TICK_SECONDS - time.monotonic()))
                with self._changed:
                    self._changed.wait(max(0.0, began + _TICK_SECONDS - time.monotonic()))
        except Exception as error:  # a thread has nobody to raise to; the test looks at `failure`
            self.failure = repr(error)
        finally:
            if self._producer.flush(_FLUSH_SECONDS):
                self.failure = self.failure or "records were not acknowledged in time"

    def _wait(self) -> bool:
        while True:
            with self._changed:
                if self._ending or self.failure is not None:
                    return False
                if self._allowance > self.sent:
                    return True
                self._changed.wait(_TICK_SECONDS)
            self._producer.poll(0)

    def _send(self, count: int) -> None:
        for _ in range(count):
            planned = next(self._planned)
            now = int(time.time() * 1000)
            self._producer.produce(
                self._topic,
                key=planned.key,
                value=planned.value,
                headers=list(planned.headers),
                timestamp=now - planned.age_ms,
                on_delivery=partial(self._report, planned),
            )
            self.sent += 1

    def _report(self, planned: Planned, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None or partition is None or offset is None:
            self.failure = self.failure or f"not delivered: {error}"
            return
        self._ledger.delivered(planned, partition, offset, message.timestamp()[1])
