"""The program behind `make images-test`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cassandra import DriverException
from cassandra.cluster import NoHostAvailable

from compose.preflight import OLDEST_COMPOSE
from demo.console import Console, DemoFailedError, Numbers, has_terminal
from millstream.devstack.airflow_rest import RestError
from millstream.devstack.errors import DevstackError

from . import stand_ins
from .engine import Engine, EngineError
from .faults import Faults
from .phases import Run, left_over, root
from .stack import Stack

FAILURES = (
    EngineError, DevstackError, DemoFailedError, RestError, NoHostAvailable, DriverException,
    OSError, RuntimeError, ValueError, KeyError, AssertionError,
)  # fmt: skip


def main() -> int:
    """Runs it; 0 when every number is right."""
    parser = argparse.ArgumentParser(prog="make images-test", description="The compose files on a real Docker engine.")
    parser.add_argument("--only", help="phases to run, by name, with commas between; `up` is always one")
    parser.add_argument("--keep", action="store_true", help="leave the containers running at the end")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    console, numbers = Console(time.time(), has_terminal()), Numbers()
    folder = Path(tempfile.mkdtemp(prefix="millstream-images-test."))
    log = folder / "docker.log"
    console.plain(f"images-test, {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC")
    try:
        check_engine(Engine(root(), "", dict(os.environ), log), console)
    except (EngineError, OSError) as failure:
        console.plain(f"images-test: {failure}")
        return 2
    stack = Stack(root(), log)
    left_over(stack)
    try:
        for name, waiting, phase in phases(stack, console, numbers, log, options.only):
            with console.phase(name, waiting):
                phase()
    except FAILURES as failure:
        console.plain(f"\nimages-test: {failure}")
        numbers.wrong.append("a phase failed")
    except KeyboardInterrupt:
        console.plain("\nimages-test: interrupted")
        numbers.wrong.append("interrupted")
    finally:
        if not options.keep:
            left_over(stack)
    for line in numbers.wrong:
        console.plain(f"WRONG: {line}")
    if numbers.wrong:
        console.plain(f"Docker's commands and answers are kept in {log}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    console.plain(f"{numbers.checked} numbers checked, {len(numbers.wrong)} wrong")
    return 1 if numbers.wrong else 0


def phases(
    stack: Stack, console: Console, numbers: Numbers, log: Path, only: str | None
) -> list[tuple[str, str, Callable[[], None]]]:
    """Name, what is waited for, and what to do, in order."""
    run, faults = Run(stack, console, numbers), Faults(stack, console, numbers)
    every = [
        ("stand-ins", "making the third-party images", lambda: third_party(stack.engine, console, log)),
        ("images", "building", run.build),
        ("up", "for every service to be healthy", run.up),
        ("toggle", "for Airflow to read the DAG", run.toggle),
        ("commands", "", run.commands),
        ("scale", "with one consumer", run.scale),
        ("crash", "", run.crash),
        ("SIGTERM", "", run.stop_signal),
        ("restart", "", run.restarts),
        ("task", "with a task that runs", run.task),
        ("memory", "", run.measured),
        ("down", "down and up again", run.again),
        ("celery", "for the worker", run.celery),
        ("alone", "without Airflow", run.alone),
        ("bad input", "", faults.preflight),
        ("passwords", "", faults.wrong_password),
        ("half made", "", faults.half_made),
    ]
    chosen = {*only.split(","), "up"} if only else {name for name, _, _ in every}
    return [phase for phase in every if phase[0] in chosen]


def check_engine(engine: Engine, console: Console) -> None:
    """Says what it runs on.

    Raises:
        EngineError: There is no engine, or its Compose is too old.
    """
    oldest = ".".join(map(str, OLDEST_COMPOSE))
    try:
        info = json.loads(engine.run("info", "--format", "{{json .}}"))
        if errors := info.get("ServerErrors"):
            raise EngineError(errors[0])
        version = engine.run("compose", "version", "--short").removeprefix("v")
    except (EngineError, FileNotFoundError) as missing:
        raise EngineError(f"needs a Docker engine with Compose {oldest} or newer: {missing}") from missing
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_COMPOSE:
        raise EngineError(f"needs Docker Compose {oldest} or newer, this is {version}: update docker-compose-plugin")
    console.plain(
        f"Docker {info['ServerVersion']}, Compose {version}, {info['NCPU']} CPUs, {info['MemTotal'] / 1e9:.0f} GB, "
        f"{platform.machine()}"
    )


def third_party(engine: Engine, console: Console, log: Path) -> None:
    """Makes those that the engine has not."""
    made = stand_ins.make(engine, log, console.waiting)
    local = [
        entry.image
        for entry in stand_ins.stand_ins()
        if (engine.inspect(entry.image)[0]["Config"]["Labels"] or {}).get(stand_ins.LABEL)
    ]
    console.say(
        f"{len(local)} of {len(stand_ins.stand_ins())} third-party images are local stand-ins of the real software",
        f"made now: {', '.join(made) or 'none'}; stand-ins: {', '.join(local) or 'none'}",
    )


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
