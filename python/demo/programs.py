"""Programs that the demo runs: output in a file, a process group of their own, and none left when the demo ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from millstream.devstack import processes
from millstream.devstack.stack import tail

from .console import DemoFailedError

TAIL_LINES = 30
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0
_PROC = Path("/proc")


class Program:
    """A program that runs beside the demo, with its output in `log`.

    It leads a process group: Ctrl-C in the terminal does not reach it, `stop` ends all of the group.
    """

    def __init__(
        self, command: Sequence[str], log: Path, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._log = log
        self._cwd = cwd
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; an earlier log is replaced."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether it has ended well.

        Raises:
            DemoFailedError: It failed; the text has the end of its log.
        """
        if self._process is None or self._process.poll() is None:
            return False
        if self._process.returncode != 0:
            raise DemoFailedError(self._failure(f"failed (exit code {self._process.returncode})"))
        return True

    def wait(self, seconds: float, each: Callable[[str], None] | None = None) -> None:
        """Waits for its end; `each` is given the last line of its log now and then.

        Raises:
            DemoFailedError: It failed, or took longer than `seconds`; the text has the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > deadline:
                self.stop()
                raise DemoFailedError(self._failure(f"took more than {seconds:.0f} s"))
            if each is not None:
                each(" ".join(" ".join(tail(self._log, 1)).split()))
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Ends it and what it started. Does nothing when it has ended."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        # As Ctrl-C would: make, cargo and the servers' starter clean up after it.
        for number, seconds in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def lines(self) -> list[str]:
        """The end of its log."""
        return tail(self._log, TAIL_LINES)

    def _failure(self, outcome: str) -> str:
        lines = "\n".join(f"  {line}" for line in self.lines())
        return f"{' '.join(self._command)} {outcome}; the end of {self._log}:\n{lines}"


def run(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    each: Callable[[str], None] | None = None,
) -> None:
    """Runs a program to its end; see `Program.wait`. Whatever interrupts that ends the program too."""
    program = Program(command, log, cwd, environment)
    try:
        program.start()
        program.wait(seconds, each)
    except BaseException:
        program.stop()
        raise


def left_behind(folder: Path) -> list[processes.ProcessIdentity]:
    """What still runs of a demo: the processes whose output is a file in `folder`, with all of their session.

    Only what the demo started writes there; a reader of its logs has a terminal or a pipe as output.
    """
    folder = folder.resolve()
    sessions: dict[int, int] = {}
    for entry in _PROC.iterdir():
        # One that has ended meanwhile is passed over.
        with contextlib.suppress(OSError, ValueError):
            sessions[int(entry.name)] = os.getsid(int(entry.name))
    writing = {session for pid, session in sessions.items() if _writes_below(pid, folder)} - {os.getsid(0)}
    found = (processes.identify(pid) for pid, session in sessions.items() if session in writing)
    return [identity for identity in found if identity is not None]


def end_left_behind(folder: Path) -> int:
    """Ends what `left_behind` finds; returns how many there were."""
    found = left_behind(folder)
    for identity in found:
        processes.terminate(identity, signal.SIGKILL)
    return len(found)


def _writes_below(pid: int, folder: Path) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if (_PROC / str(pid) / "fd" / str(descriptor)).readlink().is_relative_to(folder):
                return True
    return False
