"""The run, phase by phase; each number beside the one it must be."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cassandra.cluster import Session

from demo.console import Console, Numbers
from millstream.devstack.airflow_rest import AirflowRest
from tests.e2e.checker import DAG_ID, TASK_ID, Checker, expected_rows

from . import browser, rules
from .engine import EngineError
from .load import Load
from .memory import MemoryWatch
from .stack import LASTING, PASSWORD, PROJECT, USER, Stack

MIB = 1 << 20
CONSUMER = "millstream-consumer:dev"
AIRFLOW = "millstream-airflow:dev"
COMPRESSED_LIMIT = 60_000_000
MEMORY_LIMIT = 5_000_000_000
BUILD_SECONDS = 3600.0
RUN_SECONDS = 240.0
# Half of what keeps this machine busy: every record is made, sent and compared in Python.
PER_SECOND = 400
SETTLE_SECONDS = 6.0
# Long enough to be met at work; the sample API keeps what it has made, within its limit.
TASK_PAGES = 40
GRACE_SECONDS = 35
NAMES = ("ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Names}}")


class Run:
    """What the phases share."""

    def __init__(self, stack: Stack, console: Console, numbers: Numbers) -> None:
        self.stack = stack
        self.engine = stack.engine
        self.console = console
        self.numbers = numbers
        self.memory = MemoryWatch(stack.engine, stack.service_of)
        self.volumes = self._volumes()

    # Images.

    def build(self) -> None:
        """Both images from this tree."""
        for name, service in ((CONSUMER, "consumer"), (AIRFLOW, "airflow-init")):
            started = time.monotonic()
            self.console.waiting(f"building {name}")
            self.engine.compose("build", service, seconds=BUILD_SECONDS)
            size, compressed = self._sizes(name)
            self.console.said(
                "images", f"{name} in {time.monotonic() - started:.0f} s: "
                f"{size / 1e6:.0f} MB, {compressed / 1e6:.1f} MB compressed by gzip",
            )  # fmt: skip
            if name == CONSUMER:
                within = f"{name} has at most {COMPRESSED_LIMIT / 1e6:.0f} MB compressed ({compressed / 1e6:.1f})"
                self.numbers.check_that(within, compressed <= COMPRESSED_LIMIT)
        said = self.engine.run("run", "--rm", "--network", "none", CONSUMER, "--version")
        labels = self.engine.inspect(CONSUMER)[0]["Config"]["Labels"]
        self.numbers.check(
            "the consumer image's title", labels["org.opencontainers.image.title"], "millstream-consumer"
        )
        self.console.say(f"the image says: {said}")

    def _sizes(self, name: str) -> tuple[int, int]:
        with tempfile.TemporaryFile() as archive:
            subprocess.run(
                ["docker", "save", name], stdout=archive, env=self.engine.environment, check=True, timeout=300
            )
            archive.seek(0)
            # As gzip's default, which is what `docker push` sends.
            packer = zlib.compressobj(6)
            compressed = sum(len(packer.compress(block)) for block in iter(lambda: archive.read(MIB), b""))
            compressed += len(packer.flush())
        return int(self.engine.inspect(name)[0]["Size"]), compressed

    # Everything up.

    def up(self) -> None:
        """From nothing to healthy by one command, which also builds our images, and what holds of each container."""
        self.engine.run("image", "rm", CONSUMER, AIRFLOW)
        seconds = self.stack.up()
        self.memory.start()
        wrong: list[str] = []
        limits = 0
        for service in LASTING:
            (container,) = self.engine.inspect(*self.engine.containers(service))
            wrong += rules.broken(service, container)
            limits += container["HostConfig"]["Memory"]
        self.numbers.check("rules broken", wrong, [])
        self.numbers.check_that(f"limits are within 5 GB ({limits / 1e9:.2f})", limits <= MEMORY_LIMIT)
        self.console.say(
            f"{len(LASTING)} services healthy after {seconds:.0f} s; limits sum to {limits / 1e9:.2f} GB",
            "each: not root, no capabilities, a health check, limits, restarted, a bounded log, on 127.0.0.1 only",
        )

    def toggle(self) -> None:
        """One click in Airflow's page, and the users of the first run in Cassandra."""
        rest = self.stack.rest()
        rest.wait_for_dag(DAG_ID)
        self.console.waiting("in Chromium")
        browser.turn_toggle(self.stack.airflow_url, DAG_ID, USER, PASSWORD)
        report = self._first_run(rest)
        rest.set_paused(DAG_ID, True)
        with self.stack.cassandra() as session:
            checker = Checker(self.stack.kafka, session)
            expected = expected_rows(report, 2, 500)
            self.numbers.check("rows of the first run", checker.wait_for_rows(expected) == expected, True)
        self.console.say(f"users_stream switched on: {report['delivered']} users delivered, all of them in Cassandra")

    def _first_run(self, rest: AirflowRest) -> dict[str, Any]:
        deadline = time.monotonic() + RUN_SECONDS
        while not (runs := rest.runs(DAG_ID)):
            if time.monotonic() > deadline:
                raise TimeoutError("the toggle started no run")
            time.sleep(0.5)
        return self._report(rest, str(runs[-1]["dag_run_id"]))

    def _report(self, rest: AirflowRest, run_id: str) -> dict[str, Any]:
        run = rest.wait_for_run(DAG_ID, run_id, RUN_SECONDS)
        if run["state"] != "success":
            raise RuntimeError(f"{run_id} ended {run['state']}:\n{rest.task_log(DAG_ID, run_id, TASK_ID)[-2000:]}")
        return dict(rest.returned(DAG_ID, run_id, TASK_ID))

    def commands(self) -> None:
        """What tutorials say to type."""
        rows = self.engine.compose(
            "exec", "--no-TTY", "cassandra", "cqlsh", "-e", "SELECT * FROM spark_streams.created_users LIMIT 10"
        )
        self.numbers.check_that("cqlsh prints ten rows", "(10 rows)" in rows)
        # By the published port's number, which is the same inside: 9092 where .env says nothing else.
        server = f"localhost:{self.stack.port('KAFKA_PORT')}"
        topics = self.engine.compose(
            "exec", "--no-TTY", "kafka", "/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", server, "--list"
        ).splitlines()
        names = ("error_events", "monitoring_events", "processed_events", "raw_events", "users_created")
        self.numbers.check("topics missing", sorted(set(names) - set(topics)), [])
        self.console.say(f"exec cassandra cqlsh: 10 rows; exec kafka kafka-topics.sh --list: {len(topics)} topics")

    # Nothing lost.

    @contextlib.contextmanager
    def _load(self, what: str) -> Iterator[Callable[[], int]]:
        """People flowing while the body runs; afterwards each must be a row, once, and none a dead letter."""
        load = Load(self.stack.kafka, PER_SECOND)
        dead = self.stack.records("error_events")
        load.start()
        try:
            yield lambda: len(load.acknowledged)
        finally:
            load.stop()
        self.numbers.check(f"{what}: records that Kafka refused", load.refused, [])
        self.console.waiting("for the last of them")
        seconds = self.stack.wait_until_consumed()
        expected = load.acknowledged
        with self.stack.cassandra() as session:
            found = Checker(self.stack.kafka, session).rows(list(expected))
        missing = len(expected.keys() - found.keys())
        different = sum(found[key] != row for key, row in expected.items() if key in found)
        self.numbers.check(f"{what}: users lost", missing, 0)
        self.numbers.check(f"{what}: users with other values", different, 0)
        self.numbers.check(f"{what}: dead letters", self.stack.records("error_events") - dead, 0)
        self.console.said(
            what, f"{len(expected)} users acknowledged by Kafka, {len(found)} in Cassandra, {missing} lost, "
            f"{different} different; caught up after {seconds:.0f} s",
        )  # fmt: skip

    def scale(self) -> None:
        """1 -> 3, one killed, -> 1, with users flowing."""
        with self._load("scaled"):
            time.sleep(SETTLE_SECONDS)
            self.console.waiting("1 -> 3")
            self.stack.up("--no-deps", "--scale", "consumer=3", "consumer")
            published = sorted(self._consumer_ports())
            self.numbers.check("ports of three consumers", len(published), 3)
            time.sleep(SETTLE_SECONDS)
            killed = self.engine.containers("consumer")[0]
            self.console.waiting("killing one of three")
            self.engine.run("kill", "--signal", "KILL", killed)
            self.numbers.check("exit code of the killed one", self._exit_code(killed), 137)
            # Longer than the group's session: the other two have taken its partitions over.
            time.sleep(3 * SETTLE_SECONDS)
            self.console.waiting("-> 1")
            self.stack.up("--no-deps", "--scale", "consumer=1", "consumer")
            self.numbers.check("consumers left", len(self.engine.containers("consumer")), 1)
            time.sleep(SETTLE_SECONDS)
        self.console.say(f"consumer 1 -> 3 (ports {', '.join(map(str, published))}), docker kill -s KILL of one, -> 1")

    def _consumer_ports(self) -> list[int]:
        found = self.engine.inspect(*self.engine.containers("consumer"))
        return [int(entry["NetworkSettings"]["Ports"]["9090/tcp"][0]["HostPort"]) for entry in found]

    def _exit_code(self, container: str) -> int:
        return int(self.engine.run("wait", container))

    def crash(self) -> None:
        """A consumer that dies by itself is started again."""
        (container,) = self.engine.inspect(*self.engine.containers("consumer"))
        with self._load("crashed"):
            time.sleep(SETTLE_SECONDS)
            try:
                os.kill(container["State"]["Pid"], signal.SIGKILL)
            except (PermissionError, ProcessLookupError):
                self.console.say("NOT RUN: the engine's processes are not those of this machine")
                return
            time.sleep(2 * SETTLE_SECONDS)
            self.stack.up("--no-deps", "consumer")
        (after,) = self.engine.inspect(container["Id"])
        self.numbers.check_that("a consumer that died is started again", after["RestartCount"] >= 1)
        self.console.say(f"its process killed from outside: started again by the engine ({after['RestartCount']} time)")

    def stop_signal(self) -> None:
        """SIGTERM under load."""
        with self._load("stopped"):
            time.sleep(SETTLE_SECONDS)
            (container,) = self.engine.containers("consumer")
            started = time.monotonic()
            self.engine.compose("stop", "consumer")
            seconds = time.monotonic() - started
            self.numbers.check("exit code after SIGTERM", self._exit_code(container), 0)
            self.numbers.check_that(f"stopped within its {GRACE_SECONDS} s ({seconds:.1f})", seconds < GRACE_SECONDS)
            self.stack.up("--no-deps", "consumer")
        self.console.say(f"SIGTERM under load: exit 0 after {seconds:.1f} s of the {GRACE_SECONDS} s it has")

    def restarts(self) -> None:
        """Every service, one after another."""
        with self._load("restarted") as acknowledged:
            for service in LASTING:
                before, started = acknowledged(), time.monotonic()
                self.console.waiting(service)
                self.engine.compose("restart", service)
                self.stack.up("--no-deps", service)
                self.console.said(
                    "restart", f"{service}: healthy again after {time.monotonic() - started:.0f} s, "
                    f"{acknowledged() - before} users acknowledged meanwhile",
                )  # fmt: skip
        report = self.triggered()
        self.console.say(f"each restarted once; a run of users_stream afterwards delivered {report['delivered']}")

    def triggered(self) -> dict[str, Any]:
        """The report of a run that is started over REST and must succeed."""
        rest = self.stack.rest()
        rest.wait_for_dag(DAG_ID)
        run_id = rest.trigger(DAG_ID, {"pages": 1, "results": 100})
        rest.set_paused(DAG_ID, False)
        try:
            report = self._report(rest, run_id)
        finally:
            rest.set_paused(DAG_ID, True)
        with self.stack.cassandra() as session:
            expected = expected_rows(report, 1, 100)
            found = Checker(self.stack.kafka, session).wait_for_rows(expected)
        self.numbers.check("rows of a triggered run", found == expected, True)
        return report

    def task(self) -> None:
        """The scheduler told to stop while it runs a task: the task ends well, in its first attempt."""
        rest = self.stack.rest()
        rest.wait_for_dag(DAG_ID)
        run_id = rest.trigger(DAG_ID, {"pages": TASK_PAGES, "results": 1000})
        rest.set_paused(DAG_ID, False)
        # Another run, of the schedule, may go first: one runs at a time.
        self._wait_for("the task runs", lambda: rest.task(DAG_ID, run_id, TASK_ID)["state"] == "running")
        before = self.stack.records("users_created")
        self._wait_for("the task has sent something", lambda: self.stack.records("users_created") > before)
        state = rest.task(DAG_ID, run_id, TASK_ID)["state"]
        self.numbers.check("the task when its scheduler is told to stop", state, "running")
        self.engine.compose("restart", "airflow-scheduler")
        self.stack.up("--no-deps", "airflow-scheduler")
        rest.set_paused(DAG_ID, True)
        run = rest.wait_for_run(DAG_ID, run_id, RUN_SECONDS)
        self.numbers.check("the run whose scheduler was restarted", run["state"], "success")
        attempts = rest.task(DAG_ID, run_id, TASK_ID)["try_number"]
        self.numbers.check("attempts of its task", attempts, 1)
        delivered = rest.returned(DAG_ID, run_id, TASK_ID)["delivered"]
        self.numbers.check("users of its task", delivered, TASK_PAGES * 1000)
        self.stack.wait_until_consumed()
        self.console.say(
            f"the scheduler restarted under a task that was sending: {delivered} users, attempts: {attempts}"
        )

    def _wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {RUN_SECONDS:.0f} s: {what}")
            time.sleep(0.2)

    # And away.

    def measured(self) -> None:
        """The most each service was seen with."""
        self.memory.stop()
        rows = [
            (service, f"{self.memory.most.get(service, 0) / MIB:.0f}", f"{self.memory.limit.get(service, 0) / MIB:.0f}")
            for service in LASTING
        ]
        total = sum(self.memory.most.get(service, 0) for service in LASTING)
        self.console.say(
            f"{self.memory.looks} looks since the start; the sum of what each had at most: {total / 1e9:.2f} GB"
        )
        self.console.table(("service", "most, MiB", "limit, MiB"), rows)
        self.numbers.check("services never seen", [name for name in LASTING if not self.memory.most.get(name)], [])

    def again(self) -> None:
        """`down` keeps the data and nothing else, `down -v` not even that; both can be followed by `up`."""
        with self.stack.cassandra() as session:
            before = _count(session)
        self.stack.down()
        self.numbers.check("left after down", self._left("container") + self._left("network"), [])
        seconds = self.stack.up()
        with self.stack.cassandra() as session:
            after = _count(session)
        self.numbers.check("rows after down and up", after, before)
        self.console.said("down", f"nothing left but volumes; up again after {seconds:.0f} s with its {after} rows")
        self.stack.down("--volumes")
        self.numbers.check(
            "left after down -v", [*self._left("container"), *self._left("network"), *self._left("volume")], []
        )
        # Those of an image have no label of the project.
        self.numbers.check("volumes that nobody named", sorted(self._volumes() - self.volumes), [])
        # Another account than the image's own, as on a machine where the DAGs' folder is one's own.
        self.engine.environment["AIRFLOW_UID"] = "12345"
        seconds = self.stack.up()
        report = self.triggered()
        self.console.say(
            f"down -v: nothing left; up from nothing after {seconds:.0f} s, as AIRFLOW_UID 12345; "
            f"a run delivered {report['delivered']} users"
        )

    def _volumes(self) -> set[str]:
        return set(self.engine.run("volume", "ls", "--quiet").split())

    def _left(self, kind: str) -> list[str]:
        flags = ["--all"] if kind == "container" else []
        label = f"label=com.docker.compose.project={self.stack.engine.project}"
        return self.engine.run(kind, "ls", *flags, "--quiet", "--filter", label).split()

    def celery(self) -> None:
        """Profile celery: the task runs in the worker."""
        self.engine.environment["AIRFLOW_EXECUTOR"] = "CeleryExecutor"
        self.engine.environment["COMPOSE_PROFILES"] = "sample,celery"
        seconds = self.stack.up()
        report = self.triggered()
        (worker,) = self.engine.containers("airflow-worker")
        log = self.engine.run("logs", worker) + self._errors(worker)
        self.numbers.check_that("the worker ran the task", "succeeded" in log)
        self.console.say(
            f"CeleryExecutor, Redis and a worker after {seconds:.0f} s; a run delivered {report['delivered']}"
        )

    def alone(self) -> None:
        """The Kafka half by itself, as README says; nothing of Airflow is started."""
        self.stack.down("--volumes")
        for name in ("AIRFLOW_EXECUTOR", "AIRFLOW_UID"):
            self.engine.environment.pop(name, None)
        self.engine.environment["COMPOSE_PROFILES"] = ""
        try:
            seconds = self.stack.up(files=["docker-compose.kafka.yaml"])
            names = {self.stack.service_of(name) for name in self.engine.run(*NAMES).split()}
            started = {name for name in names if name in LASTING or name.startswith("airflow")}
            self.numbers.check("services of the Kafka half", started, set(LASTING[:5]))
            with self._load("alone"):
                time.sleep(SETTLE_SECONDS)
            self.console.say(f"docker-compose.kafka.yaml by itself: healthy after {seconds:.0f} s")
        finally:
            self.engine.environment["COMPOSE_PROFILES"] = "sample"

    def _errors(self, container: str) -> str:
        done = subprocess.run(
            ["docker", "logs", container],
            env=self.engine.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stderr


def _count(session: Session) -> int:
    """The rows of the table, read page by page: a count by Cassandra itself has five seconds for all of them."""
    return sum(1 for _ in session.execute("SELECT id FROM spark_streams.created_users", timeout=RUN_SECONDS))


def left_over(stack: Stack) -> None:
    """Takes everything down, whatever state it is in."""
    with contextlib.suppress(EngineError):
        stack.down("--volumes", "--timeout", "20")


def root() -> Path:
    """The folder of compose.yaml."""
    return Path(__file__).resolve().parents[3]
