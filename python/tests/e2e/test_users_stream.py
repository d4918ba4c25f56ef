"""`users_stream` in a real Airflow: what the API served stands in Cassandra, field by field."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from millstream.devstack.airflow_rest import AirflowRest
from millstream.devstack.consumer import Consumer
from millstream.sample_api import SampleApi

from .checker import DAG_ID, TASK_ID, Checker, assert_delivered, expected_rows, finished

# Airflow and Chromium start within the first test, and its scheduler takes a minute for little on a busy machine.
pytestmark = pytest.mark.timeout(600)

MAGIC_AND_ID_BYTES = 5


def trigger(rest: AirflowRest, dag_id: str = DAG_ID, **conf: Any) -> str:
    """Triggers a run and lets it begin; the schedule gets no turn of its own beyond the run under way."""
    run_id = rest.trigger(dag_id, conf)
    rest.set_paused(dag_id, False)
    return run_id


def assert_log_says_what_was_produced(rest: AirflowRest, run_id: str, report: dict[str, Any]) -> None:
    """One line of the package's own, and nothing that Airflow shows as an error: raw writes to its output would be."""
    events = rest.task_events(DAG_ID, run_id, TASK_ID)
    assert [entry for entry in events if entry.get("level") in ("warning", "error", "critical")] == []
    (line,) = [entry["event"] for entry in events if entry.get("logger", "").startswith("millstream")]
    assert line.startswith(f"{report['topic']}: {report['delivered']} of {report['fetched']} fetched records delivered")
    for partition, (first, last) in report["offsets"].items():
        assert f"{partition}: {first}..{last}" in line


def test_only_triggered_over_rest_as_json(rest: AirflowRest, consumer: Consumer, checker: Checker) -> None:
    run_id = trigger(rest, pages=3, results=200)
    report = finished(rest, run_id)
    assert report["topic"] == "users_created"
    assert_delivered(checker, report, pages=3, results=200)
    for key, value in checker.records(report["topic"], report["offsets"]):
        assert json.loads(value)["id"] == key
    assert_log_says_what_was_produced(rest, run_id, report)


def test_only_triggered_over_rest_as_avro(rest: AirflowRest, consumer: Consumer, checker: Checker) -> None:
    run_id = trigger(rest, pages=1, results=400, format="avro")
    report = finished(rest, run_id)
    assert report["topic"] == "users_created_avro"
    assert_delivered(checker, report, pages=1, results=400)
    for _, value in checker.records(report["topic"], report["offsets"]):
        assert value[0] == 0
        assert len(value) > MAGIC_AND_ID_BYTES
    assert_log_says_what_was_produced(rest, run_id, report)


def test_a_cleared_run_adds_no_row(rest: AirflowRest, consumer: Consumer, checker: Checker) -> None:
    run_id = trigger(rest, pages=1, results=300)
    first = finished(rest, run_id)
    expected = expected_rows(first, 1, 300)
    assert checker.wait_for_rows(expected) == expected
    rest.set_paused(DAG_ID, True)
    count = checker.count()
    rest.clear(DAG_ID, run_id)
    rest.set_paused(DAG_ID, False)
    second = finished(rest, run_id)
    assert rest.task(DAG_ID, run_id, TASK_ID)["try_number"] == 2
    rest.set_paused(DAG_ID, True)
    assert second["seed"] == first["seed"]
    assert second["offsets"] != first["offsets"], "the run was not repeated"
    keys = sorted(key for key, _ in checker.records(second["topic"], second["offsets"]))
    assert keys == sorted(expected)
    wait_until_consumed(checker, second)
    assert checker.count() == count
    assert checker.rows(list(expected)) == expected


def wait_until_consumed(checker: Checker, report: dict[str, Any]) -> None:
    """Waits for the consumer's group to commit past the run's last offsets."""
    from confluent_kafka import Consumer as KafkaConsumer
    from confluent_kafka import TopicPartition

    reader = KafkaConsumer({"bootstrap.servers": checker.kafka, "group.id": "millstream-users"})
    deadline = time.monotonic() + 60
    try:
        wanted = {int(partition): last + 1 for partition, (_, last) in report["offsets"].items()}
        while True:
            asked = [TopicPartition(report["topic"], partition) for partition in wanted]
            committed = {entry.partition: entry.offset for entry in reader.committed(asked, timeout=10)}
            if all(committed[partition] >= end for partition, end in wanted.items()):
                return
            assert time.monotonic() < deadline, f"committed {committed}, wanted {wanted}"
            time.sleep(0.2)
    finally:
        reader.close()


def test_a_limited_api_is_asked_again_within_the_run(rest: AirflowRest, consumer: Consumer, checker: Checker) -> None:
    run_id = trigger(rest, "users_api_limited", pages=1, results=50)
    report = finished(rest, run_id, "users_api_limited")
    assert rest.task("users_api_limited", run_id, TASK_ID)["try_number"] == 1
    assert_delivered(checker, report, pages=1, results=50)


@pytest.mark.parametrize(
    ("dag_id", "says"),
    [
        ("users_api_absent", "connection users_api_absent is not defined"),
        ("users_api_wrong", "results"),
    ],
)
def test_what_cannot_succeed_fails_at_once(rest: AirflowRest, dag_id: str, says: str) -> None:
    run_id = trigger(rest, dag_id, pages=1, results=5)
    assert rest.wait_for_run(dag_id, run_id)["state"] == "failed"
    # Retries are configured; the failure says by itself that none can help.
    assert rest.task(dag_id, run_id, TASK_ID)["try_number"] == 1
    assert says in rest.task_log(dag_id, run_id, TASK_ID)


@pytest.mark.parametrize(
    "conf", [{"pages": 0}, {"pages": 101}, {"results": 5001}, {"format": "xml"}, {"topic": "a b"}, {"pages": "ten"}]
)
def test_a_parameter_out_of_bounds_is_refused_by_the_form(rest: AirflowRest, conf: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=r" 4\d\d "):
        rest.trigger(DAG_ID, conf)


def test_the_api_was_read_and_not_guessed(api: SampleApi, rest: AirflowRest, consumer: Consumer) -> None:
    asked = api.requests
    finished(rest, trigger(rest, pages=4, results=5))
    assert api.requests - asked >= 4
