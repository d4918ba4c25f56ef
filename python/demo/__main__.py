"""Two halves: the first needs nothing but Python and makes the environment, the second runs inside of it."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from millstream.devstack.errors import DevstackError

from .console import Console, DemoFailedError, has_terminal
from .programs import end_left_behind, run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo"
LOCK = FOLDER / "lock"
ENVIRONMENT_PYTHON = ROOT / ".venv/bin/python"
OLDEST_PYTHON = (3, 11)  # the locks' oldest
TOOLS_SECONDS = 900
ENVIRONMENT_SECONDS = 900
INTERRUPTED = 130
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop everything after the last phase (ONCE=1)")
    parser.add_argument("--started", type=float, default=time.time(), help=argparse.SUPPRESS)
    parser.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    once = options.once or os.environ.get("ONCE", "") not in ("", "0") or not has_terminal()
    console = Console(options.started, has_terminal())
    # Also SIGINT: a background job of a shell ignores it otherwise, and so would all that is started here.
    for number in INTERRUPTS:
        signal.signal(number, _interrupted)
    try:
        if options.lock is None:
            return prepare(console, options.started, once)
        os.set_inheritable(options.lock, False)
        # Imported here: only the environment has the clients that the second half reads with.
        from .show import show

        return show(console, ROOT, FOLDER, once)
    except (DemoFailedError, DevstackError) as failure:
        console.plain(f"\ndemo: {failure}")
        return 1
    except KeyboardInterrupt:
        console.plain("\ndemo: interrupted; everything it started is down")
        return INTERRUPTED


def prepare(console: Console, started: float, once: bool) -> int:
    """Tools and environment, then the rest in the environment's interpreter."""
    check_platform()
    lock = take_lock()
    logs = FOLDER / "logs"
    if ended := end_left_behind(FOLDER):
        console.plain(f"a demo that was killed had left {ended} processes behind: they are ended now")
    with console.phase("tools", "looking for Java, Maven, CMake, Rust"):
        run([str(ROOT / ".ci/install-tools")], logs / "tools.log", ROOT, TOOLS_SECONDS, each=console.waiting)
        console.say("Java, Maven, CMake and Rust are here")
    with console.phase("environment", "installing the locked Python packages"):
        command = ["make", "--no-print-directory", ".venv/.synced"]
        run(command, logs / "environment.log", ROOT, ENVIRONMENT_SECONDS)
        console.say(".venv has the locked Python packages")
    # The lock goes along: a second demo is refused until this one is over.
    os.set_inheritable(lock, True)
    arguments = [str(ENVIRONMENT_PYTHON), "-m", "demo", "--started", repr(started), "--lock", str(lock)]
    os.execve(  # noqa: S606 - the same demo goes on in the environment it made
        ENVIRONMENT_PYTHON,
        [*arguments, *(["--once"] if once else [])],
        {**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )


def check_platform() -> None:
    """Raises DemoFailedError where the demo cannot run, saying what to do instead."""
    if not sys.platform.startswith("linux"):
        raise DemoFailedError("it runs on Linux only so far; on this system run it in a Linux virtual machine")
    if sys.version_info < OLDEST_PYTHON:
        raise DemoFailedError(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is {sys.version.split()[0]}: "
            "name one by make demo PYTHON=/path/to/python3.11"
        )


def take_lock() -> int:
    """Takes this folder for one demo; the lock is given back when the process ends, however it ends.

    Raises:
        DemoFailedError: Another demo runs here.
    """
    FOLDER.mkdir(exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
        raise DemoFailedError(
            f"another make demo (process {holder}) is using {FOLDER}: end it with Ctrl-C in its terminal, "
            "or run this one in another clone"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
