"""Scripts in processes of their own: what concerns a whole process cannot be tested inside of pytest's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

DEADLINE_SECONDS = 30.0

# A thread of the script that looks at the main one: it can only run because the main one let go of the interpreter.
WATCHER = """
import sys, threading, time

def watch(function_name):
    main = threading.main_thread().ident

    def look():
        seen = None
        while True:
            frame = sys._current_frames()[main]
            place = (frame.f_code.co_name, frame.f_lasti)
            if place == seen and place[0] == function_name:
                print("inside", flush=True)
                return
            seen = place
            time.sleep(0.1)

    threading.Thread(target=look, daemon=True).start()
"""


def run(script: str, *arguments: str) -> str:
    """Runs a script to its end; gives its standard output. Anything on standard error, or a failure, is a fault."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts a script; its output can be read line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", WATCHER + textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Waits until something is so; a deadline that passes is a fault."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:.0f} s for {what}"
        time.sleep(0.02)
