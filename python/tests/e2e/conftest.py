"""The whole pipeline, real: servers, Airflow in its own environment, the consumer's binary, and an API to fetch from.

Servers are those named by MILLSTREAM_KAFKA, MILLSTREAM_REGISTRY and MILLSTREAM_CASSANDRA, else a stack of the
session's own. MILLSTREAM_AIRFLOW and MILLSTREAM_CONSUMER name the two programs where they are not in their
usual places. What is missing fails the session; nothing is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import RoundRobinPolicy
from cassandra.query import dict_factory

from millstream.devstack import Devstack
from millstream.devstack.airflow import Airflow, stack_connections
from millstream.devstack.airflow_rest import AirflowRest
from millstream.devstack.consumer import Consumer
from millstream.devstack.queries import split_statements
from millstream.sample_api import SampleApi

from .checker import DAG_ID, Checker

ROOT = Path(__file__).parents[3]
NEEDED = ("MILLSTREAM_KAFKA", "MILLSTREAM_REGISTRY", "MILLSTREAM_CASSANDRA")

# The same DAG over connections of other names: what is wrong is the connection, never the DAG.
VARIANTS = ("users_api_absent", "users_api_limited", "users_api_wrong")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The servers' addresses, topics made."""
    if all(os.environ.get(name) for name in NEEDED):
        yield {name: os.environ[name] for name in NEEDED}
        return
    with Devstack(tmp_path_factory.mktemp("stack"), free_ports=True) as running:
        running.create_topics()
        yield running.env()


@pytest.fixture(scope="session")
def cassandra(stack: Mapping[str, str]) -> Iterator[Session]:
    """A session of Python's own driver; the shipped tables are there."""
    host, _, port = stack["MILLSTREAM_CASSANDRA"].rpartition(":")
    profile = ExecutionProfile(RoundRobinPolicy(), row_factory=dict_factory, request_timeout=20)
    cluster = Cluster(
        [host],
        port=int(port),
        connect_timeout=20,
        protocol_version=5,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )
    session = cluster.connect()
    for statement in split_statements((ROOT / "spark-replacement/cql/spark_streams.cql").read_text()):
        session.execute(statement)
    yield session
    cluster.shutdown()


@pytest.fixture(scope="session")
def api() -> Iterator[SampleApi]:
    """The API that the DAGs fetch from."""
    with SampleApi() as running:
        yield running


@pytest.fixture(scope="session")
def consumer(
    stack: Mapping[str, str], cassandra: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Consumer]:
    """The consumer with its shipped configuration."""
    log = tmp_path_factory.mktemp("consumer") / "consumer.log"
    config = ROOT / "spark-replacement/config/consumer.toml"
    with Consumer(consumer_binary(), config, stack, log, port=None) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(stack: Mapping[str, str], api: SampleApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """Airflow with the shipped DAG folder and the variants."""
    dags = tmp_path_factory.mktemp("dags")
    for shipped in (ROOT / "dags").iterdir():
        if shipped.is_file():
            (dags / shipped.name).write_bytes(shipped.read_bytes())
    for variant in VARIANTS:
        source = (ROOT / "dags/users_stream.py").read_text()
        changed = source.replace('http_url("users_api")', f'http_url("{variant}")')
        assert changed != source
        for line in ("def users_stream()", "\nusers_stream()"):
            changed = changed.replace(line, line.replace(DAG_ID, variant))
        (dags / f"{variant}.py").write_text(changed)
    connections = stack_connections(stack["MILLSTREAM_KAFKA"], stack["MILLSTREAM_REGISTRY"], api.url)
    connections["users_api_limited"] = f'{{"conn_type": "http", "host": "{api.url}?fail=429&first_n=2"}}'
    connections["users_api_wrong"] = f'{{"conn_type": "http", "host": "{api.url}?fail=wrong_type"}}'
    home = tmp_path_factory.mktemp("airflow")
    with Airflow(home, dags, airflow_program(), connections, port=None) as running:
        running.rest.wait_for_dag(DAG_ID)
        yield running


def consumer_binary() -> Path:
    """The release build of the consumer."""
    named = os.environ.get("MILLSTREAM_CONSUMER")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = Path(named) if named else target / "release/millstream-consumer"
    if not binary.is_file():
        pytest.fail(f"no consumer at {binary}: make build, or set MILLSTREAM_CONSUMER")
    return binary


def airflow_program() -> Path:
    """The `airflow` program of an environment that has the wheel too."""
    program = Path(os.environ.get("MILLSTREAM_AIRFLOW", ROOT / ".venv-airflow/bin/airflow"))
    if not program.is_file():
        pytest.fail(f"no Airflow at {program}: make airflow-env, or set MILLSTREAM_AIRFLOW")
    return program


@pytest.fixture(scope="session")
def checker(stack: Mapping[str, str], cassandra: Session) -> Checker:
    """Reads Kafka and Cassandra with Python's own clients."""
    return Checker(stack["MILLSTREAM_KAFKA"], cassandra)


@pytest.fixture
def rest(airflow: Airflow) -> Iterator[AirflowRest]:
    """Airflow's API; every DAG is paused and idle before and after a test."""
    quiet(airflow.rest)
    yield airflow.rest
    quiet(airflow.rest)


def quiet(rest: AirflowRest) -> None:
    """Pauses every DAG and waits for what runs."""
    for dag_id in (DAG_ID, *VARIANTS):
        rest.wait_for_dag(dag_id)
        rest.set_paused(dag_id, True)
        for run in rest.runs(dag_id):
            if run["state"] == "running":
                rest.wait_for_run(dag_id, run["dag_run_id"])
            elif run["state"] == "queued":
                rest.call("PATCH", f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}", {"state": "failed"})
