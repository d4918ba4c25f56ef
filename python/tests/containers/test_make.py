"""The targets of make, with a Docker that only notes what it is asked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from millstream.devstack import state
from millstream.devstack.state import ServerState

from . import fake_docker
from .fake_docker import FakeDocker, container, model

ROOT = Path(__file__).parents[3]
MAKE_SECONDS = 60


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    fake = fake_docker.installed(tmp_path, monkeypatch)
    fake.answers("compose", "")
    fake.answers("config", model("kafka"))
    fake.answers("volume", "")
    return fake


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=MAKE_SECONDS, stdin=subprocess.DEVNULL
    )


def running(docker: FakeDocker) -> None:
    docker.answers(" ps ", container("kafka", health="healthy"))


def did(docker: FakeDocker) -> str:
    """The last command, which is what the target does after it has looked."""
    return docker.asked()[-1]


@pytest.mark.parametrize("target", ["status", "env", "cql", "topics", "psql", "logs"])
def test_with_nothing_running_each_says_what_to_do(docker: FakeDocker, target: str) -> None:
    done = make(target)
    assert done.returncode != 0
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert lines == [
        "nothing is running: `make up` starts the servers here, `make up VIA=compose` everything in containers"
    ]


def test_down_and_reset_have_nothing_to_do(docker: FakeDocker) -> None:
    assert (done := make("down")).returncode == 0
    assert done.stderr == "nothing is running\n"
    assert (done := make("reset")).returncode == 0
    assert done.stderr == "there is no data to delete\n"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["down"], "compose --profile * down --remove-orphans"),
        (["logs"], "compose --profile * logs --tail 50 kafka"),
        (["logs", "S=registry"], "compose --profile * logs --tail 50 schema-registry"),
        (["cql"], "compose exec --no-TTY cassandra cqlsh"),
        (["cql", "Q=SELECT 'a b'"], "compose exec --no-TTY cassandra cqlsh -e SELECT 'a b'"),
        (["psql", "Q=SELECT 1"], "compose exec --no-TTY postgres psql -U millstream -d millstream -c SELECT 1"),
        (["reset", "YES=1"], "compose --profile * down --volumes --remove-orphans"),
    ],
)
def test_what_runs_in_containers_is_asked_there(docker: FakeDocker, arguments: list[str], command: str) -> None:
    running(docker)
    done = make(*arguments)
    assert done.returncode == 0, done.stderr
    assert "(compose)" in done.stderr
    assert did(docker) == command


def test_status_is_the_table_and_nothing_else(docker: FakeDocker) -> None:
    running(docker)
    done = make("status")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == ["service", "health", "version", "address"]
    assert done.stderr == "(compose)\n"


def test_data_is_not_deleted_where_nobody_can_be_asked(docker: FakeDocker) -> None:
    running(docker)
    done = make("reset")
    assert done.returncode != 0
    assert "say YES=1" in done.stderr
    assert not any("down" in asked for asked in docker.asked())


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("n\n", 1), ("\x04", 1)])
def test_data_is_deleted_on_a_clear_yes(monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.delenv("YES", raising=False)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        command = [sys.executable, "-m", "compose", "confirm", "compose"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        done = subprocess.run(
            command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=environment, check=False, timeout=60
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == code
    assert done.stdout == b""


def test_up_looks_before_it_starts(docker: FakeDocker) -> None:
    docker.answers("compose version", "2.20.0\n")
    docker.answers("info", '{"MemTotal": 8000000000}')
    done = make("up", "VIA=compose")
    assert done.returncode != 0
    assert "FAIL  Docker Compose 2.20.0 is too old, 2.24 is needed" in done.stderr
    assert not any(" up" in asked for asked in docker.asked())

    docker.answers("compose version", "2.40.3\n")
    docker.answers("config", model("kafka", kafka="0"))
    docker.answers("compose up", "")
    done = make("up", "VIA=compose")
    assert "compose up --detach --wait --wait-timeout 900" in docker.asked(), done.stderr

    docker.answers(" ps ", container("kafka", health="unhealthy"))
    docker.answers("inspect", '{"Log": [{"Output": "no answer"}]}')
    docker.answers("compose up", "", "container millstream-kafka-1 is unhealthy", 1)
    done = make("up", "VIA=compose")
    assert done.returncode != 0
    assert "kafka: no answer" in done.stderr


def test_two_that_run_are_told_apart_by_a_person(docker: FakeDocker, tmp_path: Path) -> None:
    running(docker)
    folder = Path(os.environ["MILLSTREAM_DEVSTACK"])
    state.save(folder, {"kafka": ServerState({"client": 1}, "", "1")})
    done = make("reset", "YES=1")
    assert done.returncode != 0
    assert "devstack and compose both have data: say which with VIA=devstack or VIA=compose" in done.stderr
    done = make("reset", "YES=1", "VIA=devstack")
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    assert not any("down" in asked for asked in docker.asked())


def test_an_unknown_way_is_named(docker: FakeDocker) -> None:
    done = make("up", "VIA=docker")
    assert done.returncode != 0
    assert "VIA=docker is neither devstack nor compose" in done.stderr
    assert docker.asked() == []
