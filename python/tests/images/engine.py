"""Docker's command line: one call, its answer, and an error that says what was asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 300.0
LINES = 25


class EngineError(Exception):
    """A docker command failed; the text has its last lines."""


class Engine:
    """`docker` in the repository's root, with the project's name and variables of its own.

    Args:
        root: The folder of compose.yaml.
        project: Compose's project name.
        environment: Variables of each call, in place of an .env file.
        log: Where each command and its output are kept.
    """

    def __init__(self, root: Path, project: str, environment: Mapping[str, str], log: Path) -> None:
        self.root = root
        self.project = project
        self.environment = dict(environment)
        self.log = log

    def run(self, *arguments: str, log: Path | None = None, seconds: float = SECONDS, check: bool = True) -> str:
        """Runs `docker` with these arguments; returns its standard output without the last line break.

        Raises:
            EngineError: It failed (unless `check` is False) or took longer than `seconds`.
        """
        return self._completed(arguments, log or self.log, seconds, check).stdout.strip()

    def compose(self, *arguments: str, files: Sequence[str] = (), seconds: float = SECONDS, check: bool = True) -> str:
        """`docker compose` for the project; see `run`."""
        return self._completed(self.composing(files, arguments), self.log, seconds, check).stdout.strip()

    def failing(self, *arguments: str, files: Sequence[str] = (), seconds: float = SECONDS) -> str:
        """What a `docker compose` command says that must fail.

        Raises:
            EngineError: It succeeded.
        """
        done = self._completed(self.composing(files, arguments), self.log, seconds, check=False)
        if done.returncode == 0:
            raise EngineError(f"docker compose {' '.join(arguments)} succeeded, and should have failed")
        return (done.stdout + done.stderr).strip()

    def composing(self, files: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """The arguments of a compose command."""
        chosen = [part for file in files for part in ("--file", file)]
        # A .env of this machine is none of the test's.
        return [
            "compose",
            "--env-file",
            os.devnull,
            "--project-name",
            self.project,
            "--progress",
            "plain",
            *chosen,
            *arguments,
        ]

    def has_image(self, name: str) -> bool:
        """Whether the engine has it."""
        return self._completed(["image", "inspect", name], self.log, SECONDS, check=False).returncode == 0

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """What the engine knows of these containers or images."""
        return list(json.loads(self.run("inspect", *names))) if names else []

    def containers(self, service: str, every: bool = False) -> list[str]:
        """Ids of the service's containers; the stopped ones too when asked for `every`."""
        return self.compose("ps", "--quiet", *(["--all"] if every else []), service).split()

    def _completed(
        self, arguments: Sequence[str], log: Path, seconds: float, check: bool
    ) -> subprocess.CompletedProcess[str]:
        asked = "docker " + " ".join(arguments)
        try:
            done = subprocess.run(
                ["docker", *arguments], cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL,
                capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise EngineError(f"{asked} took more than {seconds:.0f} s") from late
        with log.open("a", encoding="utf-8") as lines:
            lines.write(f"$ {asked}\n{done.stdout}{done.stderr}(exit code {done.returncode})\n")
        if check and done.returncode != 0:
            said = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-LINES:])
            raise EngineError(f"{asked} failed (exit code {done.returncode}); its last lines:\n{said}")
        return done
