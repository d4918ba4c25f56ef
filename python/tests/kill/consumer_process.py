"""The consumer under test, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from .observer import Observer
from .workload import COLUMNS, MAX_RECORD_BYTES

_TAIL_BYTES = 3_000


class EndedByItselfError(Exception):
    """The consumer ended though nobody asked it to."""


def write_config(path: Path, bootstrap_servers: str, cassandra: str, observer: Observer) -> None:
    """The configuration of a run."""
    columns = ", ".join(f"{column} = {json.dumps(column)}" for column in ("id", *COLUMNS))
    path.write_text(
        f"""
[kafka]
bootstrap_servers = [{json.dumps(bootstrap_servers)}]
[kafka.properties]
# The shortest that brokers take: after a kill the group waits this long for the dead member.
"session.timeout.ms" = 6000
"heartbeat.interval.ms" = 1500
[cassandra]
contact_points = [{json.dumps(cassandra)}]
max_in_flight = 1024
[dead_letter]
topic = "{observer.dead_topic}"
[limits]
max_record_bytes = "{MAX_RECORD_BYTES}B"
[http]
listen = "off"
[pipelines.users]
topics = ["{observer.topic}"]
group_id = "{observer.group}"
value_format = "json"
[[pipelines.users.tables]]
table = "{observer.table}"
columns = {{ {columns} }}
""",
        encoding="utf-8",
    )


class ConsumerProcess:
    """`millstream-consumer run`, started again and again over one log file."""

    def __init__(self, binary: Path, config: Path, log: Path) -> None:
        self._command = [str(binary), "run", "--config", str(config)]
        self._log = log
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ConsumerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it must not run."""
        if self._process is not None:
            raise RuntimeError("it runs already")
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def watch(self, seconds: float) -> None:
        """Let it run this long; raises EndedByItselfError when it does not."""
        if self._process is None:
            raise EndedByItselfError("never started")
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise EndedByItselfError(f"exit code {code}\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self, timeout: float) -> int:
        """SIGTERM; its exit code. Raises TimeoutExpired when it takes longer."""
        if self._process is None:
            raise EndedByItselfError("never started")
        self.watch(0)
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout)
        self._process = None
        return code

    def panicked(self) -> bool:
        """Whether its log tells of a panic."""
        return b"panicked at" in self._log.read_bytes()

    def log_tail(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
