"""Running Airflow and the consumer: what needs neither of them."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from millstream.devstack import ports
from millstream.devstack.airflow import Airflow, connection_variables, inherited, settings, stack_connections
from millstream.devstack.consumer import Consumer, labels_of, parse_metrics, quantile
from millstream.devstack.errors import StartError

METRICS = """\
# HELP millstream_rows_total Rows acknowledged by the sink
# TYPE millstream_rows_total counter
millstream_rows_total{pipeline="users",table="spark_streams.created_users"} 42
process_threads 7
millstream_end_to_end_seconds_bucket{pipeline="users",le="0.1"} 90
millstream_end_to_end_seconds_bucket{pipeline="users",le="0.5"} 99
millstream_end_to_end_seconds_bucket{pipeline="users",le="+Inf"} 100
millstream_end_to_end_seconds_bucket{pipeline="other",le="0.1"} 5
millstream_end_to_end_seconds_bucket{pipeline="other",le="+Inf"} 5
# EOF
"""


def test_metrics_are_read_as_scraped() -> None:
    series = parse_metrics(METRICS)
    assert series['millstream_rows_total{pipeline="users",table="spark_streams.created_users"}'] == 42
    assert series["process_threads"] == 7
    assert len(series) == 7


def test_labels() -> None:
    assert labels_of('name{a="1",b="x y"}') == {"a": "1", "b": "x y"}
    assert labels_of("name") == {}


@pytest.mark.parametrize(("q", "bound"), [(0.5, 0.1), (0.9, 0.1), (0.95, 0.5), (0.99, 0.5), (1.0, math.inf)])
def test_quantile_is_the_bucket_that_holds_it(q: float, bound: float) -> None:
    assert quantile(parse_metrics(METRICS), "millstream_end_to_end_seconds", q, pipeline="users") == bound


def test_quantile_without_observations() -> None:
    assert quantile({}, "millstream_end_to_end_seconds", 0.99) is None
    empty = {'h_bucket{le="0.1"}': 0.0, 'h_bucket{le="+Inf"}': 0.0}
    assert quantile(empty, "h", 0.99) is None


def test_another_port_moves_every_address_of_airflow() -> None:
    made = settings(Path("/home"), Path("/dags"), 18080)
    assert made["AIRFLOW__API__PORT"] == "18080"
    assert made["AIRFLOW__API__BASE_URL"].endswith(":18080")
    assert ":18080/" in made["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]


def test_connections_reach_airflow_as_its_variables() -> None:
    variables = connection_variables(stack_connections("k:1", "http://r/", "http://a/api/"))
    assert set(variables) == {
        "AIRFLOW_CONN_USERS_API",
        "AIRFLOW_CONN_KAFKA_DEFAULT",
        "AIRFLOW_CONN_SCHEMA_REGISTRY_DEFAULT",
    }
    assert json.loads(variables["AIRFLOW_CONN_KAFKA_DEFAULT"])["extra"] == {"bootstrap.servers": "k:1"}


def test_airflow_sees_nothing_of_another_airflow_or_python() -> None:
    kept = inherited({"HOME": "/root", "AIRFLOW_HOME": "/x", "AIRFLOW__CORE__X": "1", "PYTHONPATH": "/p"})
    assert kept == {"HOME": "/root"}


def program(folder: Path, script: str) -> Path:
    made = folder / "program"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return made


def test_an_airflow_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    ends = program(tmp_path, 'echo "no such command: $1" >&2; exit 3')
    airflow = Airflow(tmp_path / "home", tmp_path, ends, {}, port=None)
    with pytest.raises(StartError, match="no such command: standalone"):
        airflow.start()
    assert not airflow.running()


def test_an_airflow_that_ignores_sigint_is_ended_with_its_children(tmp_path: Path) -> None:
    stays = program(tmp_path, f"trap '' INT\nsleep 1000 &\necho $! > {tmp_path}/child\nwait")
    airflow = Airflow(tmp_path / "home", tmp_path, stays, {}, port=None)
    with pytest.raises(StartError, match="not healthy"):
        airflow.start(timeout=3.0)
    state = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while not _gone(state):
        assert time.monotonic() < deadline, state.read_text()
        time.sleep(0.02)


def _gone(state: Path) -> bool:
    """Whether a process has ended; one that was killed takes a moment, and nobody may have asked for its end yet."""
    try:
        return state.read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_consumer_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    ends = program(tmp_path, "echo 'config: unknown key' >&2; exit 78")
    consumer = Consumer(ends, tmp_path / "c.toml", {}, tmp_path / "log", port=None)
    with pytest.raises(StartError, match="unknown key"):
        consumer.start()
    assert consumer.pid is None


def test_a_consumer_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    stays = program(tmp_path, "exec sleep 1000")
    consumer = Consumer(stays, tmp_path / "c.toml", {}, tmp_path / "log", port=None)
    with pytest.raises(StartError, match="not ready"):
        consumer.start(timeout=0.5)
    assert consumer.pid is None


def test_the_usual_port_is_used_where_it_is_free() -> None:
    free = ports.free_port()
    assert Consumer(Path("x"), Path("y"), {}, Path("z"), port=free).url == f"http://127.0.0.1:{free}"
