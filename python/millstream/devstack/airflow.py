"""A single-node Airflow for development: `airflow standalone` in a folder and a port of its own.

Airflow lives in its own virtual environment; this module only starts its program and talks to it over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from . import ports
from .airflow_rest import AirflowRest
from .errors import StartError
from .stack import tail

USER = "admin"
PASSWORD = "admin"  # noqa: S105 - development only, and the docs say so
DEFAULT_PORT = 8080
START_SECONDS = 300.0
STOP_SECONDS = 25.0
# Where Airflow's worker and triggerer serve their logs unless told otherwise.
_WORKER_LOG_PORT = 8793
_TRIGGER_LOG_PORT = 8794
_GIVE_UP_SECONDS = 5.0
_LOG_TAIL_LINES = 30
_HEALTHY_PARTS = ("metadatabase", "scheduler", "dag_processor")

# A background job of a shell ignores SIGINT and hands that on; Airflow's standalone stops on SIGINT only.
_DEFAULT_SIGNALS = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGTERM, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


class Airflow:
    """Airflow from `start` to `stop`, as a context manager or by hand.

    Args:
        home: AIRFLOW_HOME, made when missing; everything Airflow writes is in it.
        dags: The folder of DAG files.
        program: The `airflow` program of the virtual environment it is installed in.
        connections: Connection id -> URI or JSON, as in `AIRFLOW_CONN_*`.
        port: The web page's port; a free one is taken when this one is not. None: always a free one.
        environment: More variables for Airflow and its tasks.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        program: Path,
        connections: Mapping[str, str],
        port: int | None = DEFAULT_PORT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.dags = dags.resolve()
        self.log = self.home / "standalone.log"
        self.port = ports.choose(port)
        self.url = f"http://localhost:{self.port}"
        self.rest = AirflowRest(self.url, USER, PASSWORD)
        # Not resolved: the program's own folder says which environment it belongs to.
        self._program = program.absolute()
        self._environment = {
            **settings(self.home, self.dags, self.port),
            **connection_variables(connections),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = START_SECONDS) -> None:
        """Starts Airflow and waits until it answers and its parts are healthy; see `wait_until_healthy`."""
        self.launch()
        self.wait_until_healthy(timeout)

    def launch(self) -> None:
        """Starts Airflow and does not wait for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps({USER: PASSWORD}))
        passwords.chmod(0o600)
        path = os.pathsep.join([str(self._program.parent), os.environ.get("PATH", "")])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _DEFAULT_SIGNALS, str(self._program), "standalone"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env={**inherited(os.environ), **self._environment, "PATH": path},
                start_new_session=True,
            )

    def wait_until_healthy(self, timeout: float = START_SECONDS) -> None:
        """Waits until Airflow answers and its parts are healthy; ends it when that does not come.

        Raises:
            StartError: It ended, or was not healthy within `timeout` seconds.
        """
        try:
            self._wait_until_healthy(time.monotonic() + timeout)
        except BaseException:
            self.stop(_GIVE_UP_SECONDS)
            raise

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Asks Airflow to end, and ends what is left of its process group. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        # The group is our own by start_new_session; its members may outlive the leader.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Airflow:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_healthy(self, deadline: float) -> None:
        while True:
            if not self.running():
                raise StartError(f"Airflow ended while starting; the end of {self.log}:\n{self._log_tail()}")
            unhealthy = unhealthy_parts(self.url)
            if not unhealthy:
                return
            if time.monotonic() > deadline:
                raise StartError(
                    f"Airflow is not healthy ({', '.join(unhealthy)}); the end of {self.log}:\n{self._log_tail()}"
                )
            time.sleep(0.5)

    def _log_tail(self) -> str:
        return "\n".join(tail(self.log, _LOG_TAIL_LINES))


def settings(home: Path, dags: Path, port: int) -> dict[str, str]:
    """Airflow's configuration for development, as its environment variables."""
    worker_log = ports.choose(_WORKER_LOG_PORT)
    trigger_log = ports.choose(_TRIGGER_LOG_PORT, {worker_log})
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # Ten seconds in place of five minutes: a DAG file that changes is seen while one looks.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_log),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # A proxy of the machine must not be asked for Airflow's own address.
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "localhost,127.0.0.1"])),
    }


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without another Airflow's settings and another Python's path."""
    foreign = ("AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in environment.items() if not name.startswith(foreign)}


def connection_variables(connections: Mapping[str, str]) -> dict[str, str]:
    """`AIRFLOW_CONN_*` variables for `connections`."""
    return {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}


def stack_connections(kafka: str, registry: str, users_api: str) -> dict[str, str]:
    """The connections of the shipped DAGs for the addresses of a stack."""
    return {
        "users_api": json.dumps({"conn_type": "http", "host": users_api}),
        "kafka_default": json.dumps({"conn_type": "kafka", "extra": {"bootstrap.servers": kafka}}),
        "schema_registry_default": json.dumps({"conn_type": "http", "host": registry}),
    }


def unhealthy_parts(url: str) -> list[str]:
    """The parts of Airflow that are not healthy yet; empty when it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return ["no answer"]
    return [part for part in _HEALTHY_PARTS if (health.get(part) or {}).get("status") != "healthy"]
