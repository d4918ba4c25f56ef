"""The stack with its real servers, from `up` to `down`. They start once for the whole file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cassandra.cluster import Cluster
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from millstream.devstack import ALL_SERVICES, Devstack, StartError, processes, state

pytestmark = [pytest.mark.devstack, pytest.mark.timeout(600)]

SOURCE = str(Path(__file__).parents[2])


def command(*arguments: str, seconds: float = 300, **variables: str) -> subprocess.CompletedProcess[str]:
    """One run of the command line. It returns only when no server holds its pipes."""
    return subprocess.run(
        [sys.executable, "-m", "millstream.devstack", *arguments],
        capture_output=True, text=True, check=False, timeout=seconds,
        env={**os.environ, "PYTHONPATH": SOURCE, **variables},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # A name that Java, properties files and URIs each have their own trouble with.
    folder = tmp_path_factory.mktemp("stack") / "ein Stück 50% #1"
    up = command("up", "--free-ports", "--topics", "--dir", str(folder), "--heap", "cassandra=1g")
    try:
        assert up.returncode == 0, up.stderr
        yield folder
    finally:
        command("down", "--purge", "--dir", str(folder))


@pytest.fixture
def stack(folder: Path) -> Iterator[Devstack]:
    stack = Devstack(folder, free_ports=True)
    yield stack
    # A test that broke a server on purpose leaves the next one a whole stack.
    stack.up()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Devstack]:
    """A stack of PostgreSQL alone, which starts in a second."""
    lines: list[str] = []
    stack = Devstack(tmp_path / "small", services=["postgres"], free_ports=True, report=lines.append)
    yield stack
    stack.down(purge=True)


def registered(url: str, subject: str) -> int:
    """The id of a schema under this subject."""
    body = json.dumps({"schema": json.dumps({"type": "record", "name": subject, "fields": []})}).encode()
    request = urllib.request.Request(
        f"{url}/subjects/{subject}/versions", body, {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, int] = json.load(answer)
        return found["id"]


def test_every_server_serves(stack: Devstack) -> None:
    found = stack.status()
    assert [service.name for service in found] == list(ALL_SERVICES)
    assert [service.health for service in found] == ["ready"] * 4
    assert all(service.pid and service.resident_bytes > 20_000_000 for service in found)


def test_a_second_up_starts_nothing_and_takes_less_than_two_seconds(folder: Path) -> None:
    before = [service.pid for service in Devstack(folder).status()]
    # The best of three, because the machine may be busy with something else.
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        again = command("up", "--dir", str(folder))
        seconds.append(time.monotonic() - started)
        assert again.returncode == 0, again.stderr
        assert again.stderr == "already up\n"
    assert min(seconds) < 2, seconds
    assert [service.pid for service in Devstack(folder).status()] == before


def test_addresses_are_printed_for_a_shell_and_as_json(folder: Path) -> None:
    variables = json.loads(command("env", "--json", "--dir", str(folder)).stdout)
    script = f'eval "$({sys.executable} -m millstream.devstack env)"; echo "$MILLSTREAM_POSTGRES|$MILLSTREAM_REGISTRY"'
    shell = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "MILLSTREAM_DEVSTACK": str(folder)},
    )  # fmt: skip
    assert shell.stdout == f"{variables['MILLSTREAM_POSTGRES']}|{variables['MILLSTREAM_REGISTRY']}\n"
    assert set(variables) == {
        "MILLSTREAM_KAFKA", "MILLSTREAM_CASSANDRA", "MILLSTREAM_REGISTRY", "MILLSTREAM_POSTGRES",
    }  # fmt: skip


def test_topics_are_as_the_pipeline_needs_them(stack: Devstack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.address("kafka")})
    topics = admin.list_topics(timeout=10).topics
    assert len(topics["users_created"].partitions) == 6
    assert len(topics["monitoring_events"].partitions) == 1
    resource = ConfigResource(ResourceType.TOPIC, "error_events")
    configs = admin.describe_configs([resource])[resource].result(10)
    assert configs["message.timestamp.type"].value == "LogAppendTime"
    assert int(configs["max.message.bytes"].value) >= 1024 * 1024 + 64 * 1024
    assert configs["retention.ms"].value == str(7 * 24 * 3600 * 1000)
    assert {outcome.error_code for outcome in stack.create_topics()} == {36}


def test_kafka_creates_no_topic_by_itself(stack: Devstack) -> None:
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": stack.address("kafka"), "topic.metadata.propagation.max.ms": 500})
    producer.produce("misspelt", b"x", on_delivery=lambda error, _: failures.append(error and error.code()))
    producer.flush(30)
    # The broker says it, or the client, by which one finds out first.
    assert len(failures) == 1
    assert failures[0] in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}


def produce(stack: Devstack, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": stack.address("kafka"), "message.timeout.ms": 60_000})
    failures: list[Any] = []
    for number in range(count):
        producer.produce(topic, str(number), partition=0, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(90) == 0
    assert failures == [None] * count


def test_topics_shows_records_and_lag(folder: Path, stack: Devstack) -> None:
    produce(stack, "raw_events", 5)
    consumer = Consumer({"bootstrap.servers": stack.address("kafka"), "group.id": "readers"})
    consumer.commit(offsets=[TopicPartition("raw_events", 0, 2)], asynchronous=False)
    consumer.close()
    report = command("topics", "--dir", str(folder))
    assert report.returncode == 0, report.stderr
    lines = [line.split() for line in report.stdout.splitlines()]
    assert ["raw_events", "6", "5"] in lines
    assert ["readers", "raw_events", "2", "3"] in lines


def test_questions_are_answered_in_tables(folder: Path) -> None:
    answer = command("cql", "SELECT key, release_version FROM system.local", "--dir", str(folder))
    assert answer.stdout == "key    release_version\nlocal  5.0.9\n(1 row)\n"
    answer = command("psql", "SELECT 1 AS one, NULL AS two", "--dir", str(folder))
    assert answer.stdout == "one  two\n1    -\n(1 row)\n"
    for verb in ("cql", "psql"):
        refused = command(verb, "SELEC", "--dir", str(folder))
        assert refused.returncode == 1
        assert "yntax error" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_a_stopped_server_keeps_its_ports_and_data(stack: Devstack) -> None:
    before = registered(stack.env()["MILLSTREAM_REGISTRY"], "first")
    addresses = stack.env()
    stack.stop("registry", "postgres")
    health = {service.name: service.health for service in stack.status()}
    assert health == {"kafka": "ready", "cassandra": "ready", "postgres": "stopped", "registry": "stopped"}
    stack.start("registry")
    assert stack.env() == addresses
    # Another schema first: an id that starts again at 1 would be found out.
    assert registered(stack.env()["MILLSTREAM_REGISTRY"], "second") > before
    assert registered(stack.env()["MILLSTREAM_REGISTRY"], "first") == before


def watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """The log's first and next offset. A broker that just came back answers before it leads its partitions again."""
    passing = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    deadline = time.monotonic() + 60
    while True:
        try:
            offsets: tuple[int, int] = consumer.get_watermark_offsets(partition, timeout=10)
            return offsets
        except KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_killed_kafka_keeps_acknowledged_records(stack: Devstack) -> None:
    produce(stack, "processed_events", 100)
    killed, address = stack.pid("kafka"), stack.address("kafka")
    stack.signal("kafka", signal.SIGKILL)
    assert {service.name: service.health for service in stack.status()}["kafka"] == "dead"
    stack.start("kafka")
    assert stack.pid("kafka") != killed
    assert stack.address("kafka") == address
    consumer = Consumer({"bootstrap.servers": stack.address("kafka"), "group.id": "unused"})
    try:
        assert watermarks(consumer, TopicPartition("processed_events", 0)) == (0, 100)
    finally:
        consumer.close()


def test_a_killed_cassandra_keeps_acknowledged_rows(stack: Devstack) -> None:
    host, _, port = stack.address("cassandra").rpartition(":")

    def ask(*statements: str) -> list[tuple[Any, ...]]:
        cluster = Cluster([host], port=int(port), connect_timeout=30)
        try:
            session = cluster.connect()
            return [tuple(row) for statement in statements for row in session.execute(statement, timeout=30)]
        finally:
            cluster.shutdown()

    ask(
        "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE kept.rows (id int PRIMARY KEY)",
        "INSERT INTO kept.rows (id) VALUES (7)",
    )
    # The commit log is synced every ten seconds, against a machine that fails. What a killed process had written is
    # read again up to the last marker in the log, and Cassandra sets one every 100 ms: so writes go on for a second.
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        ask("INSERT INTO kept.rows (id) VALUES (8)")
    before = stack.address("cassandra")
    stack.signal("cassandra", signal.SIGKILL)
    stack.start("cassandra")
    assert stack.address("cassandra") == before
    assert (7,) in ask("SELECT id FROM kept.rows")


@pytest.mark.parametrize("name", ALL_SERVICES)
def test_a_frozen_server_is_not_ready_until_it_goes_on(stack: Devstack, name: str) -> None:
    stack.signal(name, signal.SIGSTOP)
    try:
        health = {service.name: service.health for service in stack.status()}
        assert health[name].startswith("not ready: ")
    finally:
        stack.signal(name, signal.SIGCONT)
    stack.up()
    assert all(service.ready for service in stack.status())


def test_postgres_killed_again_and_again_comes_back(small: Devstack) -> None:
    small.up()
    dsn = small.env()["MILLSTREAM_POSTGRES"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    for number in range(4):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES (%s)", (number,))
        small.signal("postgres", signal.SIGKILL)
        assert small.up()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept ORDER BY n").fetchall() == [(0,), (1,), (2,), (3,)]


def test_a_stale_pid_harms_nobody(small: Devstack) -> None:
    small.up()
    small.signal("postgres", signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        servers = state.load(small.directory)
        process = servers["postgres"].process
        assert process is not None
        # The kernel gave the pid to a stranger since.
        recycled = processes.ProcessIdentity(stranger.pid, process.start_ticks, process.boot_id)
        servers["postgres"].process = recycled
        state.save(small.directory, servers)
        assert [service.health for service in small.status()] == ["dead"]
        assert small.down() == []
        assert stranger.poll() is None
        assert small.up()
        assert [service.health for service in small.status()] == ["ready"]
    finally:
        stranger.kill()
        stranger.wait()


def test_down_survives_a_state_whose_processes_are_gone(small: Devstack) -> None:
    small.up()
    pid = small.pid("postgres")
    assert pid is not None
    identity = processes.identify(pid)
    assert identity is not None
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_gone(identity, 10)
    assert small.down() == []
    assert small.down() == []


def test_down_leaves_no_process_and_purge_no_file(small: Devstack) -> None:
    small.up()
    pid = small.pid("postgres")
    assert pid is not None
    identity = processes.identify(pid)
    assert identity is not None
    kept = small.directory / "notes.txt"
    kept.write_text("not the stack's")
    assert small.down(purge=True) == ["postgres"]
    assert not processes.is_alive(identity)
    assert list(small.directory.iterdir()) == [kept]


def test_a_taken_port_is_said_and_another_is_used(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 5432))
            listener.listen(1)
        except OSError:
            pass  # Somebody else has it, which is as good.
        up = command("up", "--services", "postgres", "--dir", str(tmp_path / "other"))
        try:
            assert up.returncode == 0, up.stderr
            assert "postgres: port 5432 is taken, " in up.stderr
            assert "127.0.0.1:5432 " not in up.stdout
            assert " ready " in up.stdout
        finally:
            command("down", "--purge", "--dir", str(tmp_path / "other"))


def test_a_port_taken_since_is_given_up_for_another(small: Devstack) -> None:
    small.up()
    before = small.address("postgres")
    small.stop("postgres")
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        small.start("postgres")
        assert small.address("postgres") != before


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_is_not_left_over(tmp_path: Path) -> None:
    stack = Devstack(
        tmp_path / "broken", services=["postgres"], free_ports=True, settings={"postgres": {"no_such_setting": "1"}}
    )
    with pytest.raises(StartError, match=r"postgres ended while it was starting\n(.*\n)*.*no_such_setting") as caught:
        stack.up()
    assert caught.value.retryable
    assert [service.health for service in stack.status()] in ([], ["stopped"])
    assert stack.down() == []


def test_an_interrupted_up_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "interrupted"
    running = subprocess.Popen(
        [sys.executable, "-m", "millstream.devstack", "up", "--services", "cassandra", "--free-ports", "--dir",
         str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not state.exists(folder):
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.02)
        started = state.load(folder)["cassandra"].process
        assert started is not None
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert not processes.is_alive(started)
    finally:
        running.kill()
        running.communicate()
        command("down", "--purge", "--dir", str(folder))


def test_two_stacks_stand_beside_each_other(stack: Devstack, small: Devstack) -> None:
    small.up()
    assert small.address("postgres") != stack.address("postgres")
    small.down()
    assert all(service.ready for service in stack.status())
