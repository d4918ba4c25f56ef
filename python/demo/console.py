"""What the demo prints: one line per phase with the clock, and the end of a log where something failed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence

NAME_WIDTH = 13
INDENT = " " * (NAME_WIDTH + 9)
TICK_SECONDS = 1.0
STILL_SECONDS = 60.0
CLEAR_TO_END = "\033[K"


class DemoFailedError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Console:
    """Lines with the time since `started`, a `time.time()` value.

    While a phase waits, a terminal shows its clock running; elsewhere a line a minute says that it goes on.
    """

    def __init__(self, started: float, terminal: bool) -> None:
        self._terminal = terminal
        self._started = started
        self._name = ""
        self._waiting = ""
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def phase(self, name: str, waiting: str = "") -> Iterator[None]:
        """Names the lines said inside; `waiting` is shown until the first of them."""
        with self._lock:
            self._name, self._waiting = name, waiting
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(over,), name="demo-clock", daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()
            with self._lock:
                # What was shown while waiting is no result: it goes when the phase ends without one.
                self._write(CLEAR_TO_END if self._terminal and self._waiting else "")
                self._name = self._waiting = ""

    def waiting(self, text: str) -> None:
        """Says what the phase waits for now."""
        with self._lock:
            self._waiting = text

    def say(self, text: str, *more: str) -> None:
        """One line of the phase with the clock, and `more` below it without."""
        with self._lock:
            self._line(self._name, text)
            self._name = self._waiting = ""
            for line in more:
                self._write(f"{INDENT}{line}\n")

    def said(self, name: str, text: str) -> None:
        """A line of another phase, which ended while this one waits."""
        with self._lock:
            self._line(name, text)

    def plain(self, text: str = "") -> None:
        """A line without clock."""
        with self._lock:
            self._write(text + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned rows below the phase's line."""
        widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
        for row in (columns, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.plain(INDENT + "  ".join(cells).rstrip())

    def _tick(self, over: threading.Event) -> None:
        seconds = 0.0 if self._terminal else STILL_SECONDS
        while not over.wait(seconds):
            with self._lock:
                if self._waiting and self._terminal:
                    line = f"{self._clock()}  {self._name:{NAME_WIDTH}}{self._waiting} ..."
                    self._write(line[: shutil.get_terminal_size().columns - 1] + CLEAR_TO_END + "\r")
                elif self._waiting:
                    self._line(self._name, f"still {self._waiting}")
            seconds = TICK_SECONDS if self._terminal else STILL_SECONDS

    def _line(self, name: str, text: str) -> None:
        clear = CLEAR_TO_END if self._terminal else ""
        self._write(f"{self._clock()}  {name:{NAME_WIDTH}}{text}{clear}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            # The terminal was closed or the reader of the pipe left: what was started must be stopped all the same.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _clock(self) -> str:
        seconds = int(time.time() - self._started)
        return f"[{seconds // 60:2d}:{seconds % 60:02d}]"


class Numbers:
    """The demo's own verdict: each number it prints beside the one it must be."""

    def __init__(self) -> None:
        self.checked = 0
        self.wrong: list[str] = []

    def check(self, name: str, found: object, wanted: object) -> None:
        """Remembers the number when it is not the wanted one."""
        self.checked += 1
        if found != wanted:
            self.wrong.append(f"{name}: {found}, should be {wanted}")

    def check_that(self, what: str, holds: bool) -> None:
        """Remembers what does not hold."""
        self.checked += 1
        if not holds:
            self.wrong.append(f"not so: {what}")


def has_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stdout.isatty()
