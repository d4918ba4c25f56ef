"""Users sent through the wheel: many at once for the kill, a few a second afterwards."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import millstream as ms

from . import people_api

TOPIC = "users_created"
RESULTS = 5000
BATCH = 500
SURGE_SECONDS = 60.0
TICK_SECONDS = 0.1
TRICKLE_USERS = 5
STATUS_EVERY = 10


class Surge:
    """Fetches, maps and sends `users` people in a thread, in batches that Kafka acknowledges one by one."""

    def __init__(self, api: str, kafka: str, program: Path, users: int) -> None:
        self._api = api
        self._kafka = kafka
        self._program = program
        self._pages = users // RESULTS
        self._seed = f"surge-{uuid.uuid4()}"
        self._delivered = 0
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="surge")

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def finish(self) -> int:
        """Waits for the last acknowledgement; returns how many Kafka gave, or raises what stopped the thread."""
        self._thread.join(SURGE_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise TimeoutError(f"only {self._delivered} users were acknowledged within {SURGE_SECONDS:.0f} s")
        return self._delivered

    def expected(self) -> dict[str, dict[str, str]]:
        """The rows that must stand in Cassandra."""
        return people_api.rows(self._api, self._seed, self._pages, RESULTS)

    def _run(self) -> None:
        try:
            source = _source(self._api, self._seed, RESULTS, self._pages)
            program = ms.Remap.from_file(self._program)
            with ms.Producer({"bootstrap.servers": self._kafka}) as producer:
                for page in source.pages():
                    rows = page.remap(program)
                    for start in range(0, len(rows), BATCH):
                        self._delivered += _send(producer, rows[start : start + BATCH])
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits
            self._failure = failure


def paced(api: str, kafka: str, program: Path, users: int, per_second: int) -> None:
    """Sends `users` people at an even pace, as a service that writes all day would."""
    page = next(iter(_source(api, f"paced-{uuid.uuid4()}", users, 1).pages()))
    rows = page.remap(ms.Remap.from_file(program))
    step = max(1, int(per_second * TICK_SECONDS))
    with ms.Producer({"bootstrap.servers": kafka}) as producer:
        due = time.monotonic()
        for start in range(0, len(rows), step):
            _send(producer, rows[start : start + step])
            due += TICK_SECONDS
            time.sleep(max(0.0, due - time.monotonic()))


def trickle(api: str, kafka: str, program: Path, stop: threading.Event, status: Callable[[], None]) -> None:
    """Sends a few users each second until `stop`, calling `status` now and then."""
    seed = f"trickle-{uuid.uuid4()}"
    source = _source(api, seed, TRICKLE_USERS, None)
    compiled = ms.Remap.from_file(program)
    with ms.Producer({"bootstrap.servers": kafka}) as producer:
        for count, page in zip(itertools.count(1), source.pages(), strict=False):
            _send(producer, page.remap(compiled))
            if count % STATUS_EVERY == 0:
                status()
            if stop.wait(max(0.0, 1.0 - time.time() % 1.0)):
                return


def _source(api: str, seed: str, results: int, pages: int | None) -> Any:
    return ms.HttpSource(
        api,
        params={"seed": seed, "results": results},
        data_selector="results",
        paginator=ms.PageNumberPaginator(page_param="page", base_page=1, maximum_page=pages),
    )


def _send(producer: Any, rows: Any) -> int:
    report: ms.ProduceReport = producer.produce_batch(TOPIC, rows, key_field="id", value_serializer=ms.JSONSerializer())
    return report.delivered
