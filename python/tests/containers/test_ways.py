"""Which way a target of make means."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose import ways
from compose.ways import COMPOSE, DEVSTACK, Presence, choose
from millstream.devstack import processes, state
from millstream.devstack.processes import ProcessIdentity
from millstream.devstack.state import ServerState

ABSENT, DATA, ENDED, RUNNING = Presence


@pytest.mark.parametrize(
    ("verb", "via", "devstack", "compose", "way", "part", "failed"),
    [
        # One runs: it is meant, whatever the other left behind.
        ("status", "", RUNNING, ABSENT, DEVSTACK, "(devstack)", False),
        ("status", "", ABSENT, RUNNING, COMPOSE, "(compose)", False),
        ("down", "", ENDED, RUNNING, COMPOSE, "(compose)", False),
        ("cql", "", RUNNING, ENDED, DEVSTACK, "(devstack)", False),
        # What died is still shown, and can be cleared away.
        ("status", "", ENDED, ABSENT, DEVSTACK, "(devstack)", False),
        ("logs", "", DATA, ENDED, COMPOSE, "(compose)", False),
        ("status", "", ENDED, ENDED, None, "both have ended: say which with VIA=", True),
        # Nothing runs: what to do.
        ("status", "", ABSENT, ABSENT, None, "`make up` starts", True),
        ("cql", "", ENDED, DATA, None, "nothing is running: `make up`", True),
        ("topics", COMPOSE, RUNNING, ENDED, None, "compose is not running: `make up VIA=compose`", True),
        ("down", "", DATA, ABSENT, None, "nothing is running", False),
        ("down", COMPOSE, RUNNING, ABSENT, None, "compose is not running", False),
        # Both run: a person says which.
        ("status", "", RUNNING, RUNNING, None, "devstack and compose both are running: say which with VIA=", True),
        ("down", "", RUNNING, RUNNING, None, "say which", True),
        ("down", DEVSTACK, RUNNING, RUNNING, DEVSTACK, "(devstack)", False),
        ("env", COMPOSE, RUNNING, RUNNING, COMPOSE, "(compose)", False),
        # Deleting takes no guess, also where only one runs.
        ("reset", "", DATA, RUNNING, None, "both have data: say which", True),
        ("reset", "", DATA, ABSENT, DEVSTACK, "(devstack)", False),
        ("reset", COMPOSE, DATA, RUNNING, COMPOSE, "(compose)", False),
        ("reset", "", ABSENT, ABSENT, None, "there is no data to delete", False),
        ("reset", COMPOSE, DATA, ABSENT, None, "compose has no data", False),
        # Starting takes devstack unless told otherwise, and says what runs beside it.
        ("up", "", ABSENT, ABSENT, DEVSTACK, "", False),
        ("up", COMPOSE, ABSENT, ABSENT, COMPOSE, "", False),
        ("up", "", ABSENT, RUNNING, DEVSTACK, "compose is running, too", False),
        ("up", COMPOSE, RUNNING, ABSENT, COMPOSE, "devstack is running, too", False),
        ("up", "", RUNNING, ENDED, DEVSTACK, "", False),
    ],
)
def test_the_way_that_is_meant(
    verb: str, via: str, devstack: Presence, compose: Presence, way: str | None, part: str, failed: bool
) -> None:
    choice = choose(verb, via, {DEVSTACK: devstack, COMPOSE: compose})
    assert (choice.way, choice.failed) == (way, failed), choice
    assert part in choice.said
    assert bool(choice.said) == bool(part)
    assert "\n" not in choice.said


def test_every_choice_is_one_or_says_why() -> None:
    for verb in ways.NEEDS:
        for via in ("", *ways.WAYS):
            for devstack in Presence:
                for compose in Presence:
                    choice = choose(verb, via, {DEVSTACK: devstack, COMPOSE: compose})
                    assert choice.way or choice.said, (verb, via, devstack, compose)
                    assert not (choice.way and choice.failed)
                    assert not via or choice.way in (None, via)


def test_devstack_is_as_its_state_file_says(tmp_path: Path) -> None:
    assert ways.devstack_presence(tmp_path) == Presence.ABSENT
    server = ServerState(ports={"client": 1}, heap="", version="1")
    state.save(tmp_path, {"kafka": server})
    assert ways.devstack_presence(tmp_path) == Presence.DATA
    process = processes.spawn(["sleep", "300"], tmp_path / "log", {"PATH": "/usr/bin:/bin"})
    try:
        state.save(tmp_path, {"kafka": ServerState({"client": 1}, "", "1", process=process)})
        assert ways.devstack_presence(tmp_path) == Presence.RUNNING
    finally:
        processes.terminate(process, grace=5)
    assert ways.devstack_presence(tmp_path) == Presence.ENDED
    gone = ProcessIdentity(process.pid, process.start_ticks + 1, process.boot_id)
    state.save(tmp_path, {"kafka": ServerState({"client": 1}, "", "1", process=gone)})
    assert ways.devstack_presence(tmp_path) == Presence.ENDED
