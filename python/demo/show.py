"""The phases from the servers to the last line."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from millstream.devstack import Devstack
from millstream.devstack.airflow import PASSWORD, USER, Airflow, stack_connections
from millstream.devstack.airflow_rest import RestError
from millstream.devstack.consumer import Consumer, quantile
from millstream.devstack.errors import DevstackError
from millstream.sample_api import SampleApi

from . import people_api
from .console import Console, DemoFailedError, Numbers, run_logged
from .stores import Cassandra, Kafka
from .surge import Surge, trickle

BUILD_SECONDS = 2400.0
ROWS_SECONDS = 60.0
DAG_ID = "users_stream"
TASK_ID = "stream_users"
PAGES, RESULTS = 2, 500  # the DAG's defaults
SURGE_USERS = 20_000
KILL_AFTER = 7_000
SHOWN_COLUMNS = ("first_name", "last_name", "gender", "address", "post_code", "dob")
CELL_CHARACTERS = 34
COUNT = "SELECT count(*) FROM spark_streams.created_users"


def show(console: Console, root: Path, folder: Path, once: bool) -> int:
    """Runs every phase; returns 0 when every number was right."""
    numbers = Numbers()
    with contextlib.ExitStack() as running:
        try:
            demo = Demo(console, numbers, root, folder, running)
            demo.servers_and_build()
            demo.api()
            demo.airflow_and_consumer()
            demo.users_stream()
            demo.five_rows()
            demo.bad_record()
            demo.kill()
            demo.addresses()
            if not once:
                demo.until_interrupted()
        except (DevstackError, RestError) as error:
            raise DemoFailedError(str(error)) from error
        stopping = time.monotonic()
        with console.phase("stopping", "Airflow, consumer, servers"):
            running.close()
            console.say(f"everything is down ({time.monotonic() - stopping:.0f} s)")
    for wrong in numbers.wrong:
        console.plain(f"WRONG  {wrong}")
    console.plain("every number was as it should be" if not numbers.wrong else "the demo found wrong numbers")
    return 1 if numbers.wrong else 0


class Demo:
    """What the phases share. Everything started is stopped by `running`, last first."""

    def __init__(
        self, console: Console, numbers: Numbers, root: Path, folder: Path, running: contextlib.ExitStack
    ) -> None:
        self.console = console
        self.numbers = numbers
        self.root = root
        self.folder = folder
        self.running = running
        self.logs = folder / "logs"
        self.env: dict[str, str] = {}

    def servers_and_build(self) -> None:
        """Starts the servers while everything is being built."""
        notes: list[str] = []
        stack = Devstack(self.folder / "stack", report=notes.append)
        stack.down(purge=True)
        self.running.callback(stack.down)
        with ThreadPoolExecutor(1) as pool:
            # Also what was fetched and built in part is worth keeping when the other fails.
            servers = pool.submit(self._servers, stack, notes)
            with self.console.phase("build", "wheel, consumer and Airflow's environment; the first time takes minutes"):
                started = time.monotonic()
                command = ["make", "--no-print-directory", "dev", "airflow-env", "build"]
                environment = {"VIRTUAL_ENV": str(self.root / ".venv")}
                run_logged(command, self.logs / "build.log", self.root, BUILD_SECONDS, environment)
            servers.result()
            with self.console.phase("build"):
                took = time.monotonic() - started
                self.console.say(f"wheel, millstream-consumer and Airflow's environment ({took:.0f} s)")

    def _servers(self, stack: Devstack, notes: list[str]) -> None:
        started = time.monotonic()
        stack.up()
        stack.create_topics()
        self.env = stack.env()
        names = ", ".join(f"{server.name} {server.version}" for server in stack.status())
        with self.console.phase("servers"):
            self.console.say(f"{names} ({time.monotonic() - started:.0f} s)")
        for note in notes:
            if "taken" in note:
                with self.console.phase(""):
                    self.console.say(note)

    def api(self) -> None:
        """Chooses the API."""
        sample = self.running.enter_context(SampleApi())
        self.sample_url = sample.url
        with self.console.phase("API", f"asking {people_api.RANDOMUSER}"):
            if people_api.answers():
                self.api_url = people_api.RANDOMUSER
                self.console.say(f"people come from {self.api_url}")
            else:
                self.api_url = sample.url
                self.console.say(f"randomuser.me cannot be reached; people come from the sample API at {sample.url}")

    def airflow_and_consumer(self) -> None:
        """Starts both at once: Airflow takes longest, and the consumer needs the tables first."""
        shutil.rmtree(self.folder / "airflow", ignore_errors=True)
        connections = stack_connections(self.env["MILLSTREAM_KAFKA"], self.env["MILLSTREAM_REGISTRY"], self.api_url)
        program = self.root / ".venv-airflow/bin/airflow"
        self.airflow = Airflow(self.folder / "airflow", self.root / "dags", program, connections)
        self.running.callback(self.airflow.stop)
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self.airflow.start)
            self._consumer()
            with self.console.phase("Airflow", "starting"):
                ready.result()
                self.airflow.rest.wait_for_dag(DAG_ID)
                self.console.say(f"{self.airflow.url}  login {USER} / {PASSWORD}")

    def _consumer(self) -> None:
        config = self.root / "spark-replacement/config/consumer.toml"
        binary = consumer_binary(self.root)
        with self.console.phase("consumer", "creating tables"):
            tables = [str(binary), "--config", str(config), "tables", "apply"]
            cql = str(self.root / "spark-replacement/cql/spark_streams.cql")
            run_logged([*tables, "--cql", cql], self.logs / "tables.log", self.root, 60, self.env)
            self.consumer = Consumer(binary, config, self.env, self.logs / "consumer.log")
            self.running.callback(self.consumer.stop)
            started = time.monotonic()
            self.consumer.start()
            self.console.say(f"ready in {time.monotonic() - started:.1f} s, metrics at {self.consumer.url}/metrics")
        self.cassandra = Cassandra(self.env["MILLSTREAM_CASSANDRA"])
        self.running.callback(self.cassandra.close)
        self.kafka = Kafka(self.env["MILLSTREAM_KAFKA"])

    def users_stream(self) -> None:
        """Turns the DAG on and follows its first run to the rows."""
        rest = self.airflow.rest
        with self.console.phase(DAG_ID, "turned on; waiting for its first run"):
            rest.set_paused(DAG_ID, False)
            run_id = self._first_run()
            run = rest.wait_for_run(DAG_ID, run_id)
            if run["state"] != "success":
                raise DemoFailedError(f"{DAG_ID} failed:\n{rest.task_log(DAG_ID, run_id, TASK_ID)}")
            report: dict[str, Any] = rest.returned(DAG_ID, run_id, TASK_ID)
            expected = people_api.rows(self.api_url, report["seed"], PAGES, RESULTS)
            missing = self.cassandra.wait_for(set(expected), ROWS_SECONDS)
            self.found = self.cassandra.users()
            in_kafka = self.kafka.count(report["topic"], report["offsets"])
            right = sum(self.found.get(key) == row for key, row in expected.items())
            p99 = quantile(self.consumer.metrics(), "millstream_end_to_end_seconds", 0.99, pipeline="users")
            latency = "no latency was measured" if p99 is None else f"p99 from Kafka to row at most {1000 * p99:.0f} ms"
            self.console.say(
                f"turned on: {report['delivered']} users in Kafka, "
                f"{len(expected) - len(missing)} in Cassandra, {latency}"
            )
        self.expected = expected
        self.numbers.check("users delivered by the run", report["delivered"], PAGES * RESULTS)
        self.numbers.check("users of the run in Kafka", in_kafka, PAGES * RESULTS)
        self.numbers.check("rows equal to the API's answer, field by field", right, PAGES * RESULTS)
        self.numbers.check("latency was measured", p99 is not None, True)

    def _first_run(self) -> str:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if runs := self.airflow.rest.runs(DAG_ID):
                return str(runs[-1]["dag_run_id"])
            time.sleep(0.2)
        raise DemoFailedError(f"{DAG_ID} was turned on, but no run began within 90 s")

    def five_rows(self) -> None:
        """Five of the run's rows, as Cassandra has them."""
        with self.console.phase("five rows"):
            self.console.say("SELECT ... FROM spark_streams.created_users LIMIT 5")
        rows = [self.found[key] for key in list(self.expected)[:5] if key in self.found]
        cells = [[shortened(str(row[column])) for column in SHOWN_COLUMNS] for row in rows]
        self.console.table(SHOWN_COLUMNS, cells)
        self.numbers.check("rows shown", len(rows), 5)

    def bad_record(self) -> None:
        """Sends a record that cannot be a row and finds it again."""
        key, value = b"bad-on-purpose", b'{"id": "not-a-uuid", "first_name": "Nobody"}'
        with self.console.phase("bad record", "sent on purpose"):
            sent = self.kafka.send("users_created", key, value)
            letter = self.kafka.dead_letter("error_events", key, ROWS_SECONDS)
            origin = f"{sent.topic()}/{sent.partition()}/{sent.offset()}"
            if letter is None:
                self.console.say(f"{origin} is not in error_events")
            else:
                self.console.say(
                    f"{origin} went to error_events/{letter.partition}/{letter.offset} with code {letter.code}"
                )
        self.numbers.check("the bad record's bytes in error_events", letter and letter.value, value)

    def kill(self) -> None:
        """Ends the consumer with SIGKILL while users stream in, starts it again, and counts what is missing."""
        with self.console.phase("kill -9", f"under {SURGE_USERS} users"):
            surge = Surge(self.sample_url, self.env["MILLSTREAM_KAFKA"], self.root / "dags/users.vrl", SURGE_USERS)
            surge.start()
            surge.wait_until(KILL_AFTER)
            self.consumer.kill()
            surge.finish()
            expected = surge.expected()
            stored = len(self.cassandra.ids() & set(expected))
            self.consumer.start()
            started = time.monotonic()
            self.cassandra.wait_for(set(expected), ROWS_SECONDS)
            found = self.cassandra.users()
            lost = sum(found.get(key) != row for key, row in expected.items())
            took = time.monotonic() - started
            self.console.say(
                f"consumer killed with {stored} of {len(expected)} users stored, started again, "
                f"{took:.0f} s later: lost {lost}"
            )
        self.numbers.check("users sent while the consumer was killed", len(expected), SURGE_USERS)
        self.numbers.check("users lost by kill -9", lost, 0)
        self.numbers.check("the consumer was killed in the middle", stored < SURGE_USERS, True)

    def addresses(self) -> None:
        """Where everything is, and what to try."""
        with self.console.phase("addresses"):
            self.console.say(f"Airflow     {self.airflow.url}  ({USER} / {PASSWORD})")
        lines = (
            f"consumer    {self.consumer.url}/metrics  /readyz  /livez",
            f"Kafka       {self.env['MILLSTREAM_KAFKA']}",
            f"Cassandra   {self.env['MILLSTREAM_CASSANDRA']}",
            f"registry    {self.env['MILLSTREAM_REGISTRY']}",
            f"people      {self.api_url}",
        )
        for line in lines:
            with self.console.phase(""):
                self.console.say(line)
        folder = os.path.relpath(self.folder / "stack")
        with self.console.phase("try next"):
            self.console.say(f"make topics MILLSTREAM_DEVSTACK={folder}")
        for line in (
            f'make cql MILLSTREAM_DEVSTACK={folder} Q="{COUNT}"',
            "dags/users_stream.py and dags/users.vrl: change one, and the next run uses it",
            "trigger users_stream with format avro in Airflow, and see users_created_avro fill",
        ):
            with self.console.phase(""):
                self.console.say(line)

    def until_interrupted(self) -> None:
        """A few users a second until Ctrl-C."""
        self.console.plain()
        self.console.plain("A few users a second keep it moving; Ctrl-C stops everything.")
        stop = threading.Event()
        status = self._status_line
        with contextlib.suppress(KeyboardInterrupt):
            trickle(self.sample_url, self.env["MILLSTREAM_KAFKA"], self.root / "dags/users.vrl", stop, status)

    def _status_line(self) -> None:
        series = self.consumer.metrics()
        rows = total(series, "millstream_rows_total")
        lag = total(series, "millstream_lag_records")
        p99 = quantile(series, "millstream_end_to_end_seconds", 0.99, pipeline="users") or 0.0
        text = f"{rows:.0f} rows since the restart, lag {lag:.0f}, p99 at most {1000 * p99:.0f} ms"
        with self.console.phase("trickle"):
            self.console.say(text)


def total(series: dict[str, float], name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(value for key, value in series.items() if key.partition("{")[0] == name)


def shortened(text: str) -> str:
    """A cell of bounded width."""
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"


def consumer_binary(root: Path) -> Path:
    """The consumer that `make build` made."""
    named = os.environ.get("MILLSTREAM_CONSUMER")
    if named:
        return Path(named)
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/millstream-consumer"
