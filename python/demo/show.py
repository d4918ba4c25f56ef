"""The phases from the servers to the last line."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from millstream.devstack import Devstack
from millstream.devstack.airflow import DEFAULT_PORT as AIRFLOW_PORT
from millstream.devstack.airflow import PASSWORD, USER, Airflow, stack_connections
from millstream.devstack.consumer import DEFAULT_PORT as CONSUMER_PORT
from millstream.devstack.consumer import Consumer, quantile
from millstream.devstack.stack import ALL_SERVICES
from millstream.sample_api import SampleApi

from . import people_api
from .console import Console, DemoFailedError, Numbers
from .programs import Program, end_left_behind, run
from .stores import Cassandra, Kafka
from .surge import Surge, paced, trickle

BUILD_SECONDS = 2400.0
SERVERS_SECONDS = 900.0
FIRST_RUN_SECONDS = 150.0
ROWS_SECONDS = 60.0
METRICS_SECONDS = 10.0
ADDRESS_SECONDS = 10.0
POLL_SECONDS = 0.05
DAG_ID = "users_stream"
TASK_ID = "stream_users"
PAGES, RESULTS = 2, 500  # the DAG's defaults
SURGE_USERS = 20_000
KILL_AFTER = 3_000
PACED_USERS, PACED_PER_SECOND = 2_000, 500
LATENCY = "millstream_end_to_end_seconds"
P99_SECONDS = 10.0  # far above what it is: more means that records wait for something
BAD_KEY, BAD_VALUE, BAD_CODE = b"bad-on-purpose", b'{"id": "not-a-uuid", "first_name": "Nobody"}', "type_mismatch"
DEAD_LETTERS = "error_events"
SHOWN_COLUMNS = ("first_name", "last_name", "gender", "address", "post_code")
CELL_CHARACTERS = 32
TASK_LOG_LINES = 15
Started = TypeVar("Started", Airflow, Consumer)
COUNT = "SELECT count(*) FROM spark_streams.created_users"


def show(console: Console, root: Path, folder: Path, once: bool) -> int:
    """Runs every phase and stops everything; returns 0 when every number was right.

    Raises:
        DemoFailedError: A phase could not be done; everything is stopped.
    """
    numbers = Numbers()
    demo = Demo(console, numbers, root, folder, once)
    try:
        for phase in demo.phases():
            phase()
    except DemoFailedError:
        raise
    except Exception as error:
        trace = folder / "logs/demo.log"
        trace.write_text(traceback.format_exc())
        raise DemoFailedError(
            f"{type(error).__name__}: {error} (where it happened: {os.path.relpath(trace)})"
        ) from error
    finally:
        demo.stop()
    for wrong in numbers.wrong:
        console.plain(f"WRONG  {wrong}")
    if numbers.wrong:
        console.plain(f"{len(numbers.wrong)} of {numbers.checked} checks failed; logs are in {os.path.relpath(folder)}")
        return 1
    console.plain(f"All {numbers.checked} checks held.")
    return 0


class Demo:
    """What the phases share."""

    def __init__(self, console: Console, numbers: Numbers, root: Path, folder: Path, once: bool) -> None:
        self.console = console
        self.numbers = numbers
        self.root = root
        self.folder = folder
        self.once = once
        self.logs = folder / "logs"
        self.stack = Devstack(folder / "stack")
        self.running = contextlib.ExitStack()
        self.env: dict[str, str] = {}
        self.airflow: Airflow | None = None
        self.consumer: Consumer | None = None
        self._scraped: dict[str, float] = {}

    def phases(self) -> tuple[Callable[[], None], ...]:
        """What is done, in order."""
        return (
            self.choose_api,
            self.build,
            self.start_airflow_and_consumer,
            self.users_stream,
            self.five_rows,
            self.bad_record,
            self.kill,
            self.latency,
            self.addresses,
            *(() if self.once else (self.until_interrupted,)),
        )

    def choose_api(self) -> None:
        """The public API when it answers, else the sample API."""
        self.sample_url = self.running.enter_context(SampleApi()).url
        with self.console.phase("API", f"asking {people_api.RANDOMUSER}"):
            if people_api.answers():
                self.api_url = people_api.RANDOMUSER
                self.console.say(f"people come from {self.api_url}")
            else:
                self.api_url = self.sample_url
                self.console.say(f"randomuser.me does not answer: people come from the sample API at {self.api_url}")

    def build(self) -> None:
        """Builds everything; the servers start meanwhile."""
        self.stack.down(purge=True)
        up = [str(self.root / ".venv/bin/python"), "-m", "millstream.devstack", "up", "--topics"]
        self.servers = Program([*up, "--dir", str(self.stack.directory)], self.logs / "servers.log", self.root)
        self.running.callback(self.servers.stop)
        self.servers_began = time.monotonic()
        self.servers.start()
        command = ["make", "--no-print-directory", "dev", "airflow-env", "build"]
        environment = {"VIRTUAL_ENV": str(self.root / ".venv")}
        with self.console.phase("build", "building the wheel, the consumer and Airflow's environment"):
            began = time.monotonic()
            run(command, self.logs / "build.log", self.root, BUILD_SECONDS, environment, self._build_goes_on)
            took = time.monotonic() - began
            self.console.say(f"the wheel, millstream-consumer and Airflow's environment ({took:.0f} s)")

    def _build_goes_on(self, line: str) -> None:
        # The servers' failure ends the demo at once, not after minutes of building.
        if self.servers.ended() and not self.env:
            self._say_servers()
        if line:
            self.console.waiting(f"building (minutes the first time): {line}")

    def _say_servers(self) -> None:
        self.env = self.stack.env()
        servers = self.stack.status()
        names = ", ".join(f"{server.name} {server.version}" for server in servers)
        self.console.said("servers", f"{names} ({time.monotonic() - self.servers_began:.0f} s)")
        for line in self.servers.lines():
            if " is taken, " in line:
                self.console.said("", line)
        self.numbers.check("servers that are ready", sum(server.ready for server in servers), len(ALL_SERVICES))

    def start_airflow_and_consumer(self) -> None:
        """Starts Airflow as soon as the servers' ports are known: it takes longest. The consumer needs the servers."""
        with self.console.phase("servers", "starting"):
            addresses = self._addresses()
            shutil.rmtree(self.folder / "airflow", ignore_errors=True)
            connections = stack_connections(
                addresses["MILLSTREAM_KAFKA"], addresses["MILLSTREAM_REGISTRY"], self.api_url
            )
            program = self.root / ".venv-airflow/bin/airflow"
            self.airflow = Airflow(self.folder / "airflow", self.root / "dags", program, connections)
            self.airflow.launch()
            if not self.env:
                self.servers.wait(SERVERS_SECONDS)
                self._say_servers()
        self._start_consumer()
        with self.console.phase("Airflow", "starting (half a minute)"):
            self.airflow.wait_until_healthy()
            self.airflow.rest.wait_for_dag(DAG_ID)
            self.console.say(
                f"{self.airflow.url}  login {USER} / {PASSWORD}", *another_port(self.airflow.port, AIRFLOW_PORT)
            )

    def _addresses(self) -> dict[str, str]:
        deadline = time.monotonic() + SERVERS_SECONDS
        # All ports are chosen before the first server starts.
        while not (addresses := self.stack.env()):
            if self.servers.ended() or time.monotonic() > deadline:
                raise DemoFailedError(f"no servers were started; see {os.path.relpath(self.logs / 'servers.log')}")
            time.sleep(POLL_SECONDS)
        return addresses

    def _start_consumer(self) -> None:
        config = self.root / "spark-replacement/config/consumer.toml"
        binary = consumer_binary(self.root)
        with self.console.phase("consumer", "creating tables"):
            tables = [str(binary), "--config", str(config), "tables", "apply"]
            run(tables, self.logs / "tables.log", self.root, 60, self.env)
            self.consumer = Consumer(binary, config, self.env, self.logs / "consumer.log")
            self.consumer.log.unlink(missing_ok=True)
            started = time.monotonic()
            self.consumer.start()
            self.console.say(
                f"ready in {time.monotonic() - started:.1f} s, metrics at {self.consumer.url}/metrics",
                *another_port(self.consumer.port, CONSUMER_PORT),
            )
        self.cassandra = Cassandra(self.env["MILLSTREAM_CASSANDRA"])
        self.running.callback(self.cassandra.close)
        self.kafka = Kafka(self.env["MILLSTREAM_KAFKA"])

    def users_stream(self) -> None:
        """Turns the DAG on and follows its first run to the rows."""
        rest = started(self.airflow).rest
        with self.console.phase(DAG_ID, "turned on; waiting for its first run"):
            rest.set_paused(DAG_ID, False)
            run_id = self._first_run()
            self.console.waiting("its first run is under way")
            if rest.wait_for_run(DAG_ID, run_id)["state"] != "success":
                log = rest.task_log(DAG_ID, run_id, TASK_ID).splitlines()[-TASK_LOG_LINES:]
                raise DemoFailedError("\n".join((f"{DAG_ID} failed; the end of its task's log:", *log)))
            report: dict[str, Any] = rest.returned(DAG_ID, run_id, TASK_ID)
            self.console.waiting("its rows are on their way")
            self.expected = people_api.rows(self.api_url, report["seed"], PAGES, RESULTS)
            self.cassandra.wait_for(set(self.expected), ROWS_SECONDS)
            self.found = self.cassandra.users()
            in_kafka = self.kafka.count(report["topic"], report["offsets"])
            present = sum(key in self.found for key in self.expected)
            right = sum(self.found.get(key) == row for key, row in self.expected.items())
            measured, p99 = self._latency(PAGES * RESULTS)
            self.console.say(
                f"turned on; its first run put {in_kafka:,} users on Kafka, and Cassandra has {present:,} rows of them",
                f"{right:,} rows are what the API serves, field by field",
                f"from Kafka's timestamp to Cassandra's acknowledgement: p99 {at_most(p99)}, over {measured:,} records",
            )
        self.numbers.check("users delivered by the run", report["delivered"], PAGES * RESULTS)
        self.numbers.check("users of the run in Kafka", in_kafka, PAGES * RESULTS)
        self.numbers.check("users of the run in Cassandra", present, PAGES * RESULTS)
        self.numbers.check("rows equal to the API's answer, field by field", right, PAGES * RESULTS)
        self.numbers.check_that("the latency of every record was measured", measured >= PAGES * RESULTS)
        self.numbers.check_that(f"the run's p99 is at most {P99_SECONDS:g} s", within(p99, P99_SECONDS))

    def _first_run(self) -> str:
        deadline = time.monotonic() + FIRST_RUN_SECONDS
        while time.monotonic() < deadline:
            if runs := started(self.airflow).rest.runs(DAG_ID):
                return str(runs[-1]["dag_run_id"])
            time.sleep(0.2)
        raise DemoFailedError(f"{DAG_ID} was turned on, but no run began within {FIRST_RUN_SECONDS:.0f} s")

    def _latency(self, wanted: int, before: dict[str, float] | None = None) -> tuple[int, float | None]:
        """Records measured since `before` and their p99 in seconds, as the consumer has them; waits for `wanted`."""
        deadline = time.monotonic() + METRICS_SECONDS
        while True:
            series = since(started(self.consumer).metrics(), before or {})
            measured = int(total(series, f"{LATENCY}_count")) if known(series, f"{LATENCY}_count") else 0
            if measured >= wanted or time.monotonic() > deadline:
                return measured, quantile(series, LATENCY, 0.99)
            time.sleep(POLL_SECONDS)

    def five_rows(self) -> None:
        """Five of the run's rows, as Cassandra has them."""
        rows = [self.found[key] for key in list(self.expected)[:5] if key in self.found]
        with self.console.phase("five rows"):
            self.console.say(f"of spark_streams.created_users, {len(SHOWN_COLUMNS)} of 12 columns")
        cells = [[shortened(str(row[column])) for column in SHOWN_COLUMNS] for row in rows]
        self.console.table(SHOWN_COLUMNS, cells)
        self.numbers.check("rows shown", len(rows), 5)

    def bad_record(self) -> None:
        """Sends a record that cannot be a row and finds it again."""
        with self.console.phase("bad record", "sent on purpose; looking for it"):
            sent = self.kafka.send("users_created", BAD_KEY, BAD_VALUE)
            letter = self.kafka.dead_letter(DEAD_LETTERS, BAD_KEY, ROWS_SECONDS)
            self.console.say(
                f"{BAD_VALUE.decode()} sent to users_created, partition {sent.partition()}, offset {sent.offset()}",
                f"it is not in {DEAD_LETTERS}"
                if letter is None
                else f"it is in {DEAD_LETTERS}, partition {letter.partition}, offset {letter.offset}, "
                f"its {len(letter.value)} bytes unchanged, with code {letter.code}:",
                *(() if letter is None else (letter.reason,)),
            )
        self.numbers.check("the bad record's bytes in the dead letters", letter and letter.value, BAD_VALUE)
        self.numbers.check("the bad record's code", letter and letter.code, BAD_CODE)

    def kill(self) -> None:
        """Ends the consumer with SIGKILL while users stream in, starts it again, and counts what is missing."""
        consumer = started(self.consumer)
        with self.console.phase("kill -9", f"sending {SURGE_USERS:,} users"):
            surge = Surge(self.sample_url, self.env["MILLSTREAM_KAFKA"], self.root / "dags/users.vrl", SURGE_USERS)
            before = total(consumer.metrics(), "millstream_rows_total")
            surge.start()
            deadline = time.monotonic() + ROWS_SECONDS
            while total(consumer.metrics(), "millstream_rows_total") - before < KILL_AFTER:
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_SECONDS)
            pid = consumer.pid
            consumer.kill()
            self.console.waiting("the consumer is dead; the rest of the users go to Kafka")
            sent = surge.finish()
            expected = surge.expected()
            stored = len(self.cassandra.ids() & set(expected))
            self.console.waiting("the consumer is started again")
            began = time.monotonic()
            consumer.start()
            self.cassandra.wait_for(set(expected), ROWS_SECONDS)
            took = time.monotonic() - began
            found = self.cassandra.users()
            lost = sum(found.get(key) != row for key, row in expected.items())
            lag = self._lag_at_rest()
            dead = self.kafka.size(DEAD_LETTERS)
            self.console.say(
                f"consumer (pid {pid}) killed with {stored:,} of {len(expected):,} users stored",
                f"started again, all read back {took:.1f} s later (Kafka gives the dead one 10 s to come back)",
                f"lost {lost}, lag {lag}, dead letters {dead} (the one above)",
            )
        self.numbers.check("users sent while the consumer was killed", sent, SURGE_USERS)
        self.numbers.check("users of theirs that the API serves", len(expected), SURGE_USERS)
        self.numbers.check_that("the consumer was killed in the middle", 0 < stored < SURGE_USERS)
        self.numbers.check("users lost by kill -9", lost, 0)
        self.numbers.check("records still to be read", lag, 0)
        self.numbers.check("dead letters", dead, 1)

    def latency(self) -> None:
        """What a record takes at an even pace, the servers warm by now."""
        with self.console.phase("latency", f"sending {PACED_PER_SECOND} users a second"):
            before = started(self.consumer).metrics()
            kafka = self.env["MILLSTREAM_KAFKA"]
            paced(self.sample_url, kafka, self.root / "dags/users.vrl", PACED_USERS, PACED_PER_SECOND)
            measured, p99 = self._latency(PACED_USERS, before)
            self.console.say(f"{PACED_PER_SECOND} users a second: p99 {at_most(p99)}, over {measured:,} records")
        self.numbers.check_that("the latency of every paced record was measured", measured >= PACED_USERS)
        self.numbers.check_that(f"p99 at an even pace is at most {P99_SECONDS:g} s", within(p99, P99_SECONDS))

    def _lag_at_rest(self) -> int:
        deadline = time.monotonic() + METRICS_SECONDS
        while True:
            series = started(self.consumer).metrics()
            late = time.monotonic() > deadline
            if late or known(series, "millstream_lag_records"):
                lag = int(total(series, "millstream_lag_records"))
                if lag == 0 or late:
                    return lag
            time.sleep(POLL_SECONDS)

    def addresses(self) -> None:
        """Where everything is, and what to try."""
        airflow, consumer = started(self.airflow), started(self.consumer)
        registry = self.env["MILLSTREAM_REGISTRY"]
        with self.console.phase("addresses"):
            self.console.say(
                f"Airflow     {airflow.url}/dags/{DAG_ID}  ({USER} / {PASSWORD})",
                f"consumer    {consumer.url}/metrics, /readyz, /livez",
                f"Kafka       {self.env['MILLSTREAM_KAFKA']}",
                f"Cassandra   {self.env['MILLSTREAM_CASSANDRA']}",
                f"registry    {registry}",
                f"people      {self.api_url}",
            )
        for address in (f"{airflow.url}/dags/{DAG_ID}", f"{consumer.url}/metrics", f"{registry}/subjects"):
            self.numbers.check(f"the answer of {address}", status_of(address), 200)
        folder = os.path.relpath(self.stack.directory)
        kept = () if self.once else (f"in another terminal: make topics MILLSTREAM_DEVSTACK={folder}",)
        query = () if self.once else (f'make cql MILLSTREAM_DEVSTACK={folder} Q="{COUNT}"',)
        stays = ("make demo without ONCE=1, in a terminal: all of this stays up until Ctrl-C",) if self.once else ()
        with self.console.phase("try next"):
            self.console.say(
                *stays,
                *kept,
                *query,
                "trigger users_stream with format avro in Airflow, and see users_created_avro fill",
                "change dags/users_stream.py or dags/users.vrl: the next run uses it",
                f"the logs: {os.path.relpath(self.logs)}, {folder}/logs, {os.path.relpath(airflow.log)}",
            )

    def until_interrupted(self) -> None:
        """A few users a second until Ctrl-C."""
        self.console.plain()
        stop = threading.Event()
        with (
            contextlib.suppress(KeyboardInterrupt),
            self.console.phase("running", "a few users a second; Ctrl-C stops everything"),
        ):
            trickle(self.sample_url, self.env["MILLSTREAM_KAFKA"], self.root / "dags/users.vrl", stop, self._status)

    def _status(self) -> None:
        series = started(self.consumer).metrics()
        recent, self._scraped = since(series, self._scraped), series
        rows, lag = total(series, "millstream_rows_total"), total(series, "millstream_lag_records")
        latency = at_most(quantile(recent, LATENCY, 0.99))
        self.console.waiting(
            f"{rows:,.0f} rows since the kill, lag {lag:.0f}, p99 now {latency}; Ctrl-C stops everything"
        )

    def stop(self) -> None:
        """Stops everything, last started first; nothing interrupts that."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        began = time.monotonic()
        with (
            self.console.phase("stopping", "Airflow, consumer, servers"),
            contextlib.ExitStack() as last,
            ThreadPoolExecutor(1) as beside,
        ):
            last.callback(self._sweep, began)
            last.callback(self.stack.down)
            last.callback(self.running.close)
            airflow = beside.submit(self.airflow.stop) if self.airflow is not None else None
            if self.consumer is not None:
                self.numbers.check("the consumer's exit code", self.consumer.stop(), 0)
            if airflow is not None:
                airflow.result()

    def _sweep(self, began: float) -> None:
        outlived = end_left_behind(self.folder)
        self.numbers.check("processes that outlived their stop", outlived, 0)
        self.console.say(f"everything is down ({time.monotonic() - began:.0f} s)")


def started(program: Started | None) -> Started:
    """What a phase before this one has started."""
    if program is None:
        raise DemoFailedError("a phase was left out")
    return program


def total(series: dict[str, float], name: str) -> float:
    """The sum of a metric over its labels.

    Raises:
        KeyError: No series has the name: a metric that is not there is not a zero.
    """
    if not known(series, name):
        raise KeyError(f"the consumer serves no metric {name}")
    return sum(value for key, value in series.items() if key.partition("{")[0] == name)


def known(series: dict[str, float], name: str) -> bool:
    """Whether the metric has a series: the consumer serves one from its first value on."""
    return any(key.partition("{")[0] == name for key in series)


def within(seconds: float | None, bound: float) -> bool:
    """Whether a latency was measured and is no longer than `bound`."""
    return seconds is not None and seconds <= bound


def since(series: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What counters grew by."""
    return {name: value - before.get(name, 0.0) for name, value in series.items()}


def at_most(seconds: float | None) -> str:
    """A latency as people read it: the edge of the histogram's bucket that it is in."""
    return "not measured" if seconds is None else f"at most {1000 * seconds:g} ms"


def another_port(port: int, usual: int) -> tuple[str, ...]:
    """A line that says so when the usual port was taken."""
    return () if port == usual else (f"port {usual} is taken, {port} is used instead",)


def status_of(address: str) -> int | str:
    """The HTTP status of a GET; the reason when there is no answer."""
    try:
        with urllib.request.urlopen(address, timeout=ADDRESS_SECONDS) as answer:
            return int(answer.status)
    except OSError as error:
        return str(error)


def shortened(text: str) -> str:
    """A cell of bounded width."""
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"


def consumer_binary(root: Path) -> Path:
    """The consumer that `make build` made."""
    named = os.environ.get("MILLSTREAM_CONSUMER")
    if named:
        return Path(named)
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/millstream-consumer"
