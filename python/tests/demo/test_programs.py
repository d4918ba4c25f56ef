"""What the demo starts ends with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.console import DemoFailedError
from demo.programs import Program, end_left_behind, left_behind, run

DEADLINE_SECONDS = 20.0
# A parent that ends at once, and a child that does not and ignores what a polite stop sends.
CHILD_OUTLIVES_PARENT = "trap '' INT TERM; sleep 300 & echo $!"


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_stop_ends_the_children_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program(["sh", "-c", "sleep 300 & echo $!; wait"], log, tmp_path)
    program.start()
    wait_for(lambda: log.read_text().endswith("\n"), "the program wrote nothing")
    child = int(log.read_text())
    assert alive(child)
    program.stop()
    wait_for(lambda: not alive(child), "the child outlived the stop")


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(DemoFailedError, match=r"(?s)failed \(exit code 3\).*no such flavour"):
        run(["sh", "-c", "echo no such flavour; exit 3"], tmp_path / "log", tmp_path, DEADLINE_SECONDS)


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(DemoFailedError, match="took more than"):
        run(["sh", "-c", "echo $$; exec sleep 300"], log, tmp_path, 0.5)
    assert not alive(int(log.read_text()))


def test_an_interrupt_while_waiting_ends_the_program(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def interrupt(line: str) -> None:
        if line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$; exec sleep 300"], log, tmp_path, DEADLINE_SECONDS, each=interrupt)
    assert not alive(int(log.read_text()))


def test_what_a_killed_demo_left_is_found_by_its_output_and_ended(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    log = folder / "log"
    program = Program(["sh", "-c", CHILD_OUTLIVES_PARENT], log, tmp_path)
    program.start()
    wait_for(program.ended, "the parent did not end")
    child = int(log.read_text())
    assert [identity.pid for identity in left_behind(folder)] == [child]
    assert end_left_behind(folder) == 1
    wait_for(lambda: not alive(child), "the child was not ended")
    assert end_left_behind(folder) == 0


def test_a_reader_of_the_logs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a line\n")
    reader = subprocess.Popen(
        ["tail", "-f", str(tmp_path / "log")], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    )
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == b"a line\n"
        assert left_behind(tmp_path) == []
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()


def test_a_second_demo_in_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import demo.__main__ as first

    monkeypatch.setattr(first, "FOLDER", tmp_path)
    monkeypatch.setattr(first, "LOCK", tmp_path / "lock")
    lock = first.take_lock()
    try:
        with pytest.raises(DemoFailedError, match=rf"process {os.getpid()}\)"):
            first.take_lock()
    finally:
        os.close(lock)
    os.close(first.take_lock())


def test_an_old_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import demo.__main__ as first

    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(DemoFailedError, match=r"Python 3\.11 or newer .* make demo PYTHON="):
        first.check_platform()
