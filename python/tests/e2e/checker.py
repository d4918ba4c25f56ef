"""What a run must have left behind, read with Python's own clients and none of Millstream's compiled code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import TopicPartition

from millstream.devstack.airflow_rest import AirflowRest
from millstream.sample_api import created_users_row, people

DAG_ID = "users_stream"
TASK_ID = "stream_users"
DEADLINE_SECONDS = 90.0


@dataclass(frozen=True)
class Checker:
    """Asks the real stores what is in them."""

    kafka: str
    session: Session

    def rows(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """The rows of `created_users` with these ids, by id; every column as text."""
        found: dict[str, dict[str, Any]] = {}
        statement = self.session.prepare("SELECT * FROM spark_streams.created_users WHERE id = ?")
        arguments = [(uuid.UUID(entry),) for entry in ids]
        for outcome in execute_concurrent_with_args(self.session, statement, arguments, concurrency=64):
            for row in outcome.result_or_exc:
                found[str(row["id"])] = {**row, "id": str(row["id"])}
        return found

    def wait_for_rows(self, expected: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The rows with the ids of `expected`, once they are equal to it; the last ones read when they never are."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            rows = self.rows(list(expected))
            if rows == expected or time.monotonic() > deadline:
                return rows
            time.sleep(0.2)

    def count(self) -> int:
        """All rows of `created_users`."""
        return int(self.session.execute("SELECT count(*) AS n FROM spark_streams.created_users").one()["n"])

    def records(self, topic: str, offsets: Mapping[str, list[int]]) -> list[tuple[str, bytes]]:
        """(key, value) of every record in these offset ranges (partition -> [first, last])."""
        reader = KafkaConsumer({"bootstrap.servers": self.kafka, "group.id": f"check-{uuid.uuid4()}"})
        found: list[tuple[str, bytes]] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        try:
            for partition, (first, last) in offsets.items():
                reader.assign([TopicPartition(topic, int(partition), first)])
                at: int = first - 1
                while at < last:
                    assert time.monotonic() < deadline, f"{topic}/{partition} ends at {at}, not at {last}"
                    for message in reader.consume(1000, timeout=1.0):
                        assert message.error() is None, message.error()
                        at = message.offset() or 0
                        if at <= last:
                            found.append(((message.key() or b"").decode(), message.value() or b""))
        finally:
            reader.close()
        return found


def expected_rows(report: dict[str, Any], pages: int, results: int) -> dict[str, dict[str, str]]:
    """The rows of a run, computed here from the seed it used."""
    served = [person for page in range(1, pages + 1) for person in people(report["seed"], page, results)]
    return {row["id"]: row for row in map(created_users_row, served)}


def finished(rest: AirflowRest, run_id: str, dag_id: str = DAG_ID) -> dict[str, Any]:
    """The report of a run that must have succeeded."""
    run = rest.wait_for_run(dag_id, run_id)
    assert run["state"] == "success", rest.task_log(dag_id, run_id, TASK_ID)
    return dict(rest.returned(dag_id, run_id, TASK_ID))


def assert_delivered(checker: Checker, report: dict[str, Any], pages: int, results: int) -> None:
    expected = expected_rows(report, pages, results)
    assert report["fetched"] == report["delivered"] == len(expected) == pages * results
    records = checker.records(report["topic"], report["offsets"])
    assert sorted(key for key, _ in records) == sorted(expected)
    assert checker.wait_for_rows(expected) == expected
