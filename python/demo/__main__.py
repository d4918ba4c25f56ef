"""Two halves: the first needs nothing but Python and makes the environment, the second runs inside of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .console import Console, DemoFailedError, has_terminal, run_logged

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo"
ENVIRONMENT_PYTHON = ROOT / ".venv/bin/python"
TOOLS_SECONDS = 900
ENVIRONMENT_SECONDS = 900


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop everything after the last phase (ONCE=1)")
    parser.add_argument("--started", type=float, default=time.time(), help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    once = options.once or os.environ.get("ONCE", "") not in ("", "0") or not has_terminal()
    console = Console(options.started, has_terminal())
    try:
        if not options.inside:
            return prepare(console, options.started, once)
        # Imported here: only the environment has the clients that the second half reads with.
        from .show import show

        return show(console, ROOT, FOLDER, once)
    except DemoFailedError as failure:
        console.plain(f"\ndemo: {failure}")
        return 1
    except KeyboardInterrupt:
        console.plain("\nstopped")
        return 130


def prepare(console: Console, started: float, once: bool) -> int:
    """Tools and environment, then the rest in the environment's interpreter."""
    logs = FOLDER / "logs"
    with console.phase("tools", "looking for Java, Maven, Rust"):
        run_logged([str(ROOT / ".ci/install-tools")], logs / "tools.log", ROOT, TOOLS_SECONDS)
        console.say("Java, Maven, CMake and Rust are here")
    with console.phase("environment", "installing the locked Python packages"):
        command = ["make", "--no-print-directory", ".venv/.synced"]
        run_logged(command, logs / "environment.log", ROOT, ENVIRONMENT_SECONDS)
        console.say(".venv holds the locked Python packages")
    sys.stdout.flush()
    arguments = [str(ENVIRONMENT_PYTHON), "-m", "demo", "--inside", "--started", repr(started)]
    os.execve(  # noqa: S606 - the same demo goes on in the environment it made
        ENVIRONMENT_PYTHON,
        [*arguments, *(["--once"] if once else [])],
        {**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )


if __name__ == "__main__":
    sys.exit(main())
