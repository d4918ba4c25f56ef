"""People sent to Kafka at an even pace from outside of the containers, and what must become of them."""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid

from confluent_kafka import KafkaError, Message, Producer

from millstream.sample_api import created_users_row, people

TOPIC = "users_created"
PAGE = 500
TICKS = 20
FLUSH_SECONDS = 180.0


class Load:
    """Sends `per_second` people until `stop`; `acknowledged` has the row of each that Kafka took."""

    def __init__(self, kafka: str, per_second: int) -> None:
        # As long as a restart of the broker takes and more: what is not acknowledged by then is a fault of the test.
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "enable.idempotence": True,
                "message.timeout.ms": 150_000,
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        self._per_tick = per_second // TICKS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.acknowledged: dict[str, dict[str, str]] = {}
        self.refused: list[str] = []

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, once all that was sent is acknowledged or refused."""
        self._stop.set()
        self._thread.join(FLUSH_SECONDS)
        left = self._producer.flush(FLUSH_SECONDS)
        if left or self._thread.is_alive():
            self.refused.append(f"{left} records without an answer")

    def _run(self) -> None:
        seed = f"load-{uuid.uuid4()}"
        rows = (created_users_row(person) for page in itertools.count(1) for person in people(seed, page, PAGE))
        due = time.monotonic()
        while not self._stop.is_set():
            for row in itertools.islice(rows, self._per_tick):
                self._send(row)
            self._producer.poll(0)
            due += 1 / TICKS
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _send(self, row: dict[str, str]) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.acknowledged[row["id"]] = row
            else:
                self.refused.append(str(error))

        while not self._stop.is_set():
            try:
                self._producer.produce(TOPIC, json.dumps(row).encode(), row["id"], on_delivery=delivered)
                return
            except BufferError:
                # The broker is away and the queue is full: the pace waits for it.
                self._producer.poll(0.1)
