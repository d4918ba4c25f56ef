"""What the demo prints: one line per phase with the clock, and the end of a log where something failed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from millstream.devstack.stack import tail

TAIL_LINES = 30
NAME_WIDTH = 13


class DemoFailedError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Console:
    """Lines with the time since `started`, a `time.time()` value."""

    def __init__(self, started: float, terminal: bool) -> None:
        self.terminal = terminal
        self._started = started
        self._phase = ""

    @contextlib.contextmanager
    def phase(self, name: str, waiting: str = "") -> Iterator[None]:
        """Shows `waiting` on a terminal until the phase's first line replaces it."""
        self._phase = name
        if self.terminal and waiting:
            print(f"{self._clock()}  {name:{NAME_WIDTH}}{waiting} ...", end="\r", flush=True)
        yield
        self._phase = ""

    def say(self, text: str) -> None:
        """One line of the phase; further lines of it are indented below its name."""
        clear = "\033[K" if self.terminal else ""
        print(f"{clear}{self._clock()}  {self._phase:{NAME_WIDTH}}{text}", flush=True)
        self._phase = ""

    def plain(self, text: str = "") -> None:
        """A line without clock."""
        print(text, flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned rows below the phase's line."""
        widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
        for row in (columns, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(" " * (NAME_WIDTH + 9) + "  ".join(cells).rstrip(), flush=True)

    def _clock(self) -> str:
        seconds = int(time.time() - self._started)
        return f"[{seconds // 60:2d}:{seconds % 60:02d}]"


class Numbers:
    """The demo's own verdict: each number it prints beside the one it must be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def check(self, name: str, found: object, wanted: object) -> None:
        """Remembers the number when it is not the wanted one."""
        if found != wanted:
            self.wrong.append(f"{name}: {found}, should be {wanted}")


def run_logged(
    command: Sequence[str], log: Path, cwd: Path, seconds: float, environment: Mapping[str, str] | None = None
) -> None:
    """Runs a program with its output in `log`.

    Raises:
        DemoFailedError: It failed or took longer than `seconds`; the text has the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                timeout=seconds,
                env={**os.environ, **(environment or {})},
                check=False,
            )
            outcome = f"failed ({ended.returncode})"
            if ended.returncode == 0:
                return
        except subprocess.TimeoutExpired:
            outcome = f"took more than {seconds:.0f} s"
    lines = "\n".join(f"  {line}" for line in tail(log, TAIL_LINES))
    raise DemoFailedError(f"{' '.join(command)} {outcome}; the end of {log}:\n{lines}")


def has_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stdout.isatty()
