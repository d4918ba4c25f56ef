"""What a person sees who has done something wrong."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo.console import Console, Numbers

from . import browser
from .stack import USER, Stack

PREFLIGHT_SECONDS = 120.0
WRONG = "apicurio.datasource.password=not-the-one\n"


class Faults:
    """Faults made on purpose; the stack's volumes are there."""

    def __init__(self, stack: Stack, console: Console, numbers: Numbers) -> None:
        self.stack = stack
        self.console = console
        self.numbers = numbers

    def preflight(self) -> None:
        """A missing secret and a port that is taken, both told before a container starts."""
        missing = self.stack.engine.root / "airflow/secrets/absent"
        self.stack.down()
        with self._set("AIRFLOW_FERNET_KEY_FILE", str(missing)):
            self._told("a secret's file missing", self._preflight(), str(missing), "AIRFLOW_FERNET_KEY_FILE")
        with socket.create_server(("127.0.0.1", self.stack.port("KAFKA_PORT"))):
            self._told("a port taken", self._preflight(), str(self.stack.port("KAFKA_PORT")), "KAFKA_PORT")

    def wrong_password(self) -> None:
        """Another password than the volume was made with, and a wrong one in Airflow's page."""
        self.stack.down()
        with tempfile.TemporaryDirectory() as folder:
            wrong = Path(folder) / "registry.properties"
            wrong.write_text(WRONG, encoding="utf-8")
            wrong.chmod(0o644)
            Path(folder).chmod(0o755)
            with self._set("REGISTRY_PROPERTIES_FILE", str(wrong)):
                said = self.stack.engine.failing("up", "--detach", "--wait", "postgres", seconds=300)
                self._told("a secret changed", said, "postgres", "unhealthy")
                logs = self.stack.engine.compose("logs", "--no-log-prefix", "postgres")
                line = next((line for line in logs.splitlines() if line.startswith("HEALTH:")), "")
                self._told("its log", line, "registry_properties", "ALTER ROLE registry")
                self.stack.down()
        self.stack.up()
        self._told("a wrong login", browser.refused_sign_in(self.stack.airflow_url, USER, "wrong"), "nvalid")

    def half_made(self) -> None:
        """A first start that is broken off, and the next one with everything in its place."""
        self.stack.down("--volumes")
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "registry.properties"
            empty.write_text("# nothing\n", encoding="utf-8")
            empty.chmod(0o644)
            Path(folder).chmod(0o755)
            with self._set("REGISTRY_PROPERTIES_FILE", str(empty)):
                self.stack.engine.failing("up", "--detach", "--wait", "postgres", seconds=300)
        self.stack.engine.compose("stop", "postgres")
        self.stack.engine.failing("up", "--detach", "--wait", "postgres", seconds=300)
        logs = self.stack.engine.compose("logs", "--no-log-prefix", "postgres")
        line = next((line for line in logs.splitlines() if line.startswith("HEALTH:")), "")
        self._told("a volume half made", line, "half made", "docker compose down -v")
        self.stack.down("--volumes")

    def _told(self, what: str, said: str, *parts: str) -> None:
        lines = [line.strip() for line in said.splitlines() if any(part in line for part in parts)]
        for part in parts:
            self.numbers.check_that(f"{what}: the message names {part}", part in said)
        line = (lines[-1] if lines else said.strip() or "nothing said").replace(f"{self.stack.engine.root}/", "")
        self.console.said("bad input", f"{what}: {line}")

    def _preflight(self) -> str:
        """What `make up` says, which looks before it starts."""
        engine = self.stack.engine
        done = subprocess.run(
            [sys.executable, "-m", "compose", "preflight"], cwd=engine.root,
            env={**engine.environment, "PYTHONPATH": "python", "COMPOSE_PROJECT_NAME": engine.project},
            capture_output=True, text=True, timeout=PREFLIGHT_SECONDS, check=False,
        )  # fmt: skip
        self.numbers.check_that("the preflight fails", done.returncode != 0)
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def _set(self, name: str, value: str) -> Iterator[None]:
        environment = self.stack.engine.environment
        before = environment.get(name)
        environment[name] = value
        try:
            yield
        finally:
            environment.pop(name)
            if before is not None:
                environment[name] = before
