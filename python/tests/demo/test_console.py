"""What the demo prints, and its verdict over its own numbers."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from demo.console import Console, Numbers


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_phase_is_one_line_with_the_clock_and_more_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(time.time() - 61, terminal=False)
    with console.phase("servers", "starting"):
        console.say("four of them", "one port is taken")
    first, second = lines(capsys)
    assert re.fullmatch(r"\[ 1:0\d\]  servers      four of them", first)
    assert second == " " * 22 + "one port is taken"


def test_a_terminal_sees_the_clock_run_and_nothing_of_it_stays(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(time.time(), terminal=True)
    with console.phase("Airflow", "starting"):
        deadline = time.monotonic() + 20
        shown = ""
        while "starting ..." not in shown:
            assert time.monotonic() < deadline
            shown += capsys.readouterr().out
            time.sleep(0.01)
    assert "\n" not in shown
    assert capsys.readouterr().out.endswith("\033[K")


def test_a_reader_that_left_stops_nothing() -> None:
    program = (
        "import sys, time; from demo.console import Console; console = Console(time.time(), False); "
        "sys.stdin.read(); console.plain('nobody reads this'); console.plain('nor this'); sys.exit(7)"
    )
    writer = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdout.close()
    writer.stdin.close()
    assert writer.wait(20) == 7


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Console(time.time(), terminal=False).table(("a", "name"), (("1", "Ada"), ("22", "Bo")))
    assert [line.strip() for line in lines(capsys)] == ["a   name", "1   Ada", "22  Bo"]


def test_every_wrong_number_is_named() -> None:
    numbers = Numbers()
    numbers.check("users", 3, 3)
    numbers.check("lost", 1, 0)
    numbers.check_that("it was killed in the middle", False)
    assert numbers.checked == 3
    assert numbers.wrong == ["lost: 1, should be 0", "not so: it was killed in the middle"]
