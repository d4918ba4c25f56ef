"""Processes by identity: a recycled pid is another process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millstream.devstack import processes
from millstream.devstack.processes import ProcessIdentity


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessIdentity]:
    process = processes.spawn(["sleep", "60"], tmp_path / "log", {"PATH": os.environ["PATH"]})
    yield process
    processes.send_signal(process, signal.SIGKILL)


def test_stat_is_read_past_a_name_with_spaces_and_parentheses() -> None:
    fields = " ".join(str(number) for number in range(5, 22))
    assert processes.parse_stat(f"42 (a) b (c) S 7 {fields} 987654 0 0\n") == ("S", 7, 987654)


@pytest.mark.parametrize("text", ["", "42 no name", "42 (short) S 1"])
def test_a_stat_that_is_none_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        processes.parse_stat(text)


def test_a_process_is_itself_and_no_other(sleeper: ProcessIdentity) -> None:
    assert processes.is_alive(sleeper)
    assert not processes.is_alive(replace(sleeper, start_ticks=sleeper.start_ticks + 1))
    assert not processes.is_alive(replace(sleeper, boot_id="another boot"))


def test_a_process_with_a_recycled_pid_is_not_signalled(sleeper: ProcessIdentity) -> None:
    earlier = replace(sleeper, start_ticks=sleeper.start_ticks - 1)
    assert not processes.send_signal(earlier, signal.SIGKILL)
    assert not processes.terminate(earlier, grace=0.1)
    assert processes.is_alive(sleeper)


def test_a_spawned_process_holds_none_of_the_callers_pipes(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = processes.spawn(["sleep", "60"], tmp_path / "log", {"PATH": os.environ["PATH"]})
    try:
        os.close(writer)
        # End of file at once: nobody else has the writing end.
        assert os.read(reader, 1) == b""
        assert os.getsid(process.pid) != os.getsid(0)
    finally:
        os.close(reader)
        processes.terminate(process)


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "echo out; echo err >&2; exec sleep 60"
    process = processes.spawn(["sh", "-c", script], log, {"PATH": os.environ["PATH"]})
    deadline = time.monotonic() + 10
    while log.read_text() != "before\nout\nerr\n":
        assert time.monotonic() < deadline, log.read_text()
    processes.terminate(process)


def test_terminate_ends_a_stopped_process(sleeper: ProcessIdentity) -> None:
    processes.send_signal(sleeper, signal.SIGSTOP)
    assert processes.terminate(sleeper, grace=10)
    assert not processes.is_alive(sleeper)


def test_terminate_kills_what_ignores_the_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    process = processes.spawn(["sh", "-c", script], log, {"PATH": os.environ["PATH"]})
    deadline = time.monotonic() + 10
    while "ready" not in log.read_text():
        assert time.monotonic() < deadline
    assert processes.terminate(process, grace=0.2)
    assert not processes.is_alive(process)


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        identity = processes.identify(child.pid)
        assert identity is not None
        child.kill()
        assert processes.wait_gone(identity, 10)
    finally:
        child.wait()


def test_no_process_is_gone_and_holds_no_memory() -> None:
    gone = ProcessIdentity(2**22 + 1, 1, processes.boot_id())
    assert not processes.terminate(gone)
    assert processes.resident_bytes(gone) == 0


def test_resident_memory_is_that_of_a_process(sleeper: ProcessIdentity) -> None:
    assert 50_000 < processes.resident_bytes(sleeper) < 100_000_000


def test_processes_are_found_by_the_folder_they_work_in(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as inside:
        try:
            assert processes.working_in(tmp_path) == [inside.pid]
            assert processes.working_in(tmp_path / "below") == []
        finally:
            inside.kill()
    assert processes.working_in(tmp_path) == []
