"""Which of the two ways is in use, and so which one a target of make means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from millstream.devstack import processes, state

from . import engine
from .errors import ComposeError, NoEngineError

DEVSTACK = "devstack"
COMPOSE = "compose"
WAYS = (DEVSTACK, COMPOSE)
START = {DEVSTACK: "make up", COMPOSE: "make up VIA=compose"}

_FOLDER_VARIABLE = "MILLSTREAM_DEVSTACK"
_DEFAULT_FOLDER = ".devstack"


class Presence(IntEnum):
    """How much of one way is there."""

    ABSENT = 0
    DATA = 1
    """Stopped, and its data is kept."""
    ENDED = 2
    """Nothing of it runs, but something was started and not stopped."""
    RUNNING = 3


# What a target needs to be there; `reset` counts data without servers, too.
NEEDS = {
    "up": Presence.ABSENT,
    "down": Presence.ENDED,
    "status": Presence.ENDED,
    "logs": Presence.ENDED,
    "env": Presence.RUNNING,
    "cql": Presence.RUNNING,
    "topics": Presence.RUNNING,
    "psql": Presence.RUNNING,
    "reset": Presence.DATA,
}


@dataclass(frozen=True)
class Choice:
    """The way that is meant, and what to tell the person."""

    way: str | None
    said: str
    failed: bool = False


def choose(verb: str, via: str, there: dict[str, Presence]) -> Choice:
    """The way that `verb` means: the one asked for by `via` (empty: none), else the one that is there."""
    if verb == "up":
        return _up(via or DEVSTACK, there)
    able = [way for way in (WAYS if not via else (via,)) if there[way] >= NEEDS[verb]]
    if not able:
        return _none(verb, via)
    if verb != "reset":
        # What runs comes before what has ended. Deleting takes no guess.
        most = max(there[way] for way in able)
        able = [way for way in able if there[way] == most]
    if len(able) == 1:
        return Choice(able[0], f"({able[0]})")
    what = "have data" if verb == "reset" else "are running" if there[DEVSTACK] == Presence.RUNNING else "have ended"
    both = f"{DEVSTACK} and {COMPOSE} both {what}"
    return Choice(None, f"{both}: say which with VIA={DEVSTACK} or VIA={COMPOSE}", failed=True)


def _none(verb: str, via: str) -> Choice:
    """With nothing there, stopping and deleting have nothing to do, which is no failure."""
    if verb == "reset":
        return Choice(None, f"{via} has no data" if via else "there is no data to delete")
    lacking = f"{via} is not running" if via else "nothing is running"
    if verb == "down":
        return Choice(None, lacking)
    start = f"`{START[via]}` starts it" if via else f"`{START[DEVSTACK]}` starts the servers here"
    more = "" if via else f", `{START[COMPOSE]}` everything in containers"
    return Choice(None, f"{lacking}: {start}{more}", failed=True)


def _up(way: str, there: dict[str, Presence]) -> Choice:
    other = COMPOSE if way == DEVSTACK else DEVSTACK
    if there[other] == Presence.RUNNING:
        return Choice(way, f"{other} is running, too: from now on targets ask for VIA={DEVSTACK} or VIA={COMPOSE}")
    return Choice(way, "")


def devstack_folder() -> Path:
    """Where devstack keeps its servers."""
    return engine.ROOT / os.environ.get(_FOLDER_VARIABLE, _DEFAULT_FOLDER)


def devstack_presence(folder: Path) -> Presence:
    """What there is of the servers on this machine."""
    if not state.exists(folder):
        return Presence.ABSENT
    started = [server.process for server in state.load(folder).values() if server.process is not None]
    if any(processes.is_alive(process) for process in started):
        return Presence.RUNNING
    return Presence.ENDED if started else Presence.DATA


def compose_presence(*, data: bool) -> Presence:
    """What there is of the containers; with `data`, volumes without containers count, too."""
    found = engine.containers()
    if any(one.state in ("running", "restarting", "paused") for one in found):
        return Presence.RUNNING
    if found:
        return Presence.ENDED
    if data and engine.has_volumes(engine.model().name):
        return Presence.DATA
    return Presence.ABSENT


def look(verb: str, via: str) -> tuple[dict[str, Presence], str]:
    """What is there of both ways, and why Docker could not be asked, where that is of interest.

    A machine without Docker has no containers: that is told only to who asks for them.
    """
    there = {DEVSTACK: devstack_presence(devstack_folder()), COMPOSE: Presence.ABSENT}
    if via == DEVSTACK:
        return there, ""
    try:
        there[COMPOSE] = compose_presence(data=verb == "reset")
    except NoEngineError as error:
        return there, str(error) if via == COMPOSE else ""
    except ComposeError as error:
        return there, str(error)
    return there, ""
