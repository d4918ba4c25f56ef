"""The project as the compose files make it, on free ports and under a name of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import RoundRobinPolicy
from cassandra.query import dict_factory
from confluent_kafka import Consumer, TopicPartition

from millstream.devstack import ports
from millstream.devstack.airflow_rest import AirflowRest

from .engine import Engine

PROJECT = "millstream-images-test"
PORTS = ("KAFKA_PORT", "CASSANDRA_PORT", "POSTGRES_PORT", "SCHEMA_REGISTRY_PORT", "AIRFLOW_PORT")
CONSUMER_PORTS = 10
UP_SECONDS = 600.0
DEADLINE_SECONDS = 180.0
# Where people come from: no address of the internet is needed.
SAMPLE_API = "http://sample-api:5005/api/"
USER, PASSWORD = "admin", "admin"
GROUP = "millstream-users"
LASTING = (
    "kafka", "cassandra", "postgres", "schema-registry", "consumer",
    "airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
)  # fmt: skip


class Stack:
    """`docker compose` for one project, and clients of what it publishes.

    Args:
        root: The folder of compose.yaml.
        log: Where Docker's commands and answers are kept.
    """

    def __init__(self, root: Path, log: Path) -> None:
        chosen: dict[str, str] = {}
        taken: set[int] = set()
        for name in PORTS:
            port = ports.free_port(taken)
            taken.add(port)
            chosen[name] = str(port)
        first = _free_range(taken)
        environment = {
            **os.environ, **chosen,
            "CONSUMER_PORTS": f"{first}-{first + CONSUMER_PORTS - 1}",
            "USERS_API_URL": SAMPLE_API,
            "COMPOSE_PROFILES": "sample",
        }  # fmt: skip
        self.engine = Engine(root, PROJECT, environment, log)

    def port(self, name: str) -> int:
        """A published port by the name of its variable."""
        return int(self.engine.environment[name])

    @property
    def kafka(self) -> str:
        """Kafka's address on the host."""
        return f"127.0.0.1:{self.port('KAFKA_PORT')}"

    @property
    def airflow_url(self) -> str:
        """The page of Airflow."""
        return f"http://localhost:{self.port('AIRFLOW_PORT')}"

    def rest(self) -> AirflowRest:
        """Airflow's API, signed in as the administrator."""
        return AirflowRest(f"http://127.0.0.1:{self.port('AIRFLOW_PORT')}", USER, PASSWORD)

    def up(self, *arguments: str, files: Sequence[str] = (), seconds: float = UP_SECONDS) -> float:
        """`up --detach --wait`, which builds our images where they are missing; returns the seconds it took."""
        started = time.monotonic()
        waiting = ("--wait", "--wait-timeout", f"{seconds:.0f}")
        self.engine.compose("up", "--detach", *waiting, *arguments, files=files, seconds=seconds + 60)
        return time.monotonic() - started

    def down(self, *arguments: str) -> None:
        """`down` for every profile."""
        self.engine.compose("--profile", "*", "down", "--remove-orphans", *arguments)

    def service_of(self, container: str) -> str:
        """The service of a container's name."""
        return container.removeprefix(f"{PROJECT}-").rpartition("-")[0]

    @contextmanager
    def cassandra(self) -> Iterator[Session]:
        """A session of Python's own driver."""
        profile = ExecutionProfile(RoundRobinPolicy(), row_factory=dict_factory, request_timeout=30)
        cluster = Cluster(
            ["127.0.0.1"], port=self.port("CASSANDRA_PORT"), connect_timeout=30, protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )  # fmt: skip
        try:
            yield cluster.connect()
        finally:
            cluster.shutdown()

    def records(self, topic: str) -> int:
        """How many records the topic has."""
        with self._reader() as reader:
            return sum(end - start for start, end in self._marks(reader, topic).values())

    def wait_until_consumed(self, topic: str = "users_created") -> float:
        """Waits for the group to have committed all of the topic; returns the seconds it took.

        Raises:
            TimeoutError: It has not within three minutes; the text says where it stands.
        """
        started = time.monotonic()
        while True:
            with self._reader() as reader:
                ends = {partition: end for partition, (start, end) in self._marks(reader, topic).items() if end > start}
                asked = [TopicPartition(topic, partition) for partition in ends]
                committed = {entry.partition: entry.offset for entry in reader.committed(asked, timeout=20)}
            passed = time.monotonic() - started
            if committed == ends:
                return passed
            if passed > DEADLINE_SECONDS:
                raise TimeoutError(f"{GROUP} has committed {committed} of {ends} after {passed:.0f} s")
            time.sleep(0.5)

    @contextmanager
    def _reader(self) -> Iterator[Consumer]:
        reader = Consumer({"bootstrap.servers": self.kafka, "group.id": GROUP, "log_level": 2})
        try:
            yield reader
        finally:
            reader.close()

    def _marks(self, reader: Consumer, topic: str) -> Mapping[int, tuple[int, int]]:
        partitions: Sequence[int] = sorted(reader.list_topics(topic, timeout=20).topics[topic].partitions)
        return {
            partition: reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            for partition in partitions
        }


def _free_range(taken: set[int]) -> int:
    while True:
        first = ports.free_port(taken)
        if all(ports.is_free(port) and port not in taken for port in range(first, first + CONSUMER_PORTS)):
            return first
