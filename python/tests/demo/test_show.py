"""The demo's own figures: none of them may be right by being absent."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from demo import surge
from demo.show import known, total, within

SERIES = {'lag{partition="0"}': 2.0, 'lag{partition="1"}': 3.0, "up": 0.0}


def test_a_total_is_over_labels_and_a_missing_metric_is_no_zero() -> None:
    assert (total(SERIES, "lag"), total(SERIES, "up")) == (5.0, 0.0)
    assert known(SERIES, "lag")
    assert not known(SERIES, "la")
    with pytest.raises(KeyError, match="no metric la"):
        total(SERIES, "la")


@pytest.mark.parametrize(("seconds", "held"), [(None, False), (9.9, True), (10.1, False), (float("inf"), False)])
def test_a_latency_has_a_bound_and_must_be_measured(seconds: float | None, held: bool) -> None:
    assert within(seconds, 10.0) is held


def test_users_sent_are_those_that_kafka_acknowledged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "as_it_is.vrl"
    program.write_text(".")
    sent: list[int] = []

    class Fake:
        """A producer whose reports say one less than it was given."""

        def __init__(self, _config: dict[str, Any]) -> None: ...

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None: ...

        def produce_batch(self, topic: str, rows: Any, **_: Any) -> ms.ProduceReport:
            sent.append(len(rows))
            return ms.ProduceReport(topic, len(rows) - 1, 0, 0.0, {})

    class Pages:
        def pages(self) -> list[ms.Records]:
            return [ms.Records.from_pylist([{"id": str(uuid.uuid4())} for _ in range(surge.BATCH + 1)])]

    monkeypatch.setattr(ms, "Producer", Fake)
    monkeypatch.setattr(surge, "_source", lambda *_: Pages())
    started = time.monotonic()
    sending = surge.Surge("http://127.0.0.1:9", "127.0.0.1:9", program, surge.RESULTS)
    sending.start()
    assert sending.finish() == sum(sent) - 2
    assert sent == [surge.BATCH, 1]
    assert time.monotonic() - started < surge.SURGE_SECONDS
