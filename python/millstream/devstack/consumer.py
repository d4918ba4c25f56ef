"""Runs the consumer's binary on this machine, for development and tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from . import ports
from .errors import StartError
from .stack import tail

DEFAULT_PORT = 9090
READY_SECONDS = 60.0
STOP_SECONDS = 40.0
_LOG_TAIL_LINES = 30
_DEFAULT_SIGNALS = ("env", "--default-signal=INT,TERM")


class Consumer:
    """One `millstream-consumer run`, from `start` to `stop` or `kill`, any number of times.

    Args:
        binary: The program.
        config: Its configuration file.
        addresses: The stack's addresses as `Devstack.env()` names them.
        log: Where its output is appended.
        port: Its HTTP port; a free one is taken when this one is not. None: always a free one.
        environment: More variables for it.
    """

    def __init__(
        self,
        binary: Path,
        config: Path,
        addresses: Mapping[str, str],
        log: Path,
        port: int | None = DEFAULT_PORT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self.port = ports.choose(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [*_DEFAULT_SIGNALS, str(binary), "--config", str(config), "run"]
        self._environment = {
            **addresses,
            "MILLSTREAM__HTTP__LISTEN": f"127.0.0.1:{self.port}",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, timeout: float = READY_SECONDS) -> None:
        """Starts it and waits until it is ready to consume.

        Raises:
            StartError: It ended, or was not ready within `timeout` seconds.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while (waits_for := self.not_ready()) is not None:
            if self.pid is None:
                raise StartError(f"the consumer ended while starting\n{self._log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(f"the consumer is not ready: {waits_for}\n{self._log_tail()}")
            time.sleep(0.05)

    def not_ready(self) -> str | None:
        """What it waits for; None when it is ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                return None
        except urllib.error.HTTPError as answer:
            return answer.read(2000).decode(errors="replace").strip() or f"status {answer.code}"
        except OSError as error:
            return str(error)

    def kill(self) -> None:
        """Ends it with SIGKILL, as a machine that fails would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout: float = STOP_SECONDS) -> int | None:
        """Asks it to drain and end; returns its exit code, None when it did not run."""
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def metrics(self) -> dict[str, float]:
        """Every series of `/metrics`, by its name with labels as scraped."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            return parse_metrics(answer.read().decode())

    def __enter__(self) -> Consumer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _log_tail(self) -> str:
        return "\n".join(tail(self.log, _LOG_TAIL_LINES))


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus' text format: series -> value; comments, timestamps and exemplars are passed over."""
    series: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        end = line.rfind("}") + 1 if "{" in line else line.find(" ")
        with contextlib.suppress(ValueError, IndexError):
            series[line[:end]] = float(line[end:].split()[0])
    return series


def labels_of(series: str) -> dict[str, str]:
    """The labels of a series. Values with escaped quotes are not expected here: the names are our own."""
    _, _, inside = series.partition("{")
    pairs = (pair.partition("=") for pair in inside.rstrip("}").split(",") if pair)
    return {name: json.loads(value) for name, _, value in pairs}


def quantile(series: Mapping[str, float], histogram: str, q: float, **labels: str) -> float | None:
    """An upper bound of the `q` quantile: the smallest bucket that holds it. None without observations."""
    buckets: dict[float, float] = {}
    for name, value in series.items():
        if name.startswith(f"{histogram}_bucket{{"):
            found = labels_of(name)
            if all(found.get(label) == wanted for label, wanted in labels.items()):
                edge = float(found["le"])
                buckets[edge] = buckets.get(edge, 0.0) + value
    total = max(buckets.values(), default=0.0)
    if total == 0:
        return None
    return min(edge for edge, count in buckets.items() if count >= q * total)
