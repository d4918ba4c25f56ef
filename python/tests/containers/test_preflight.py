"""What keeps the containers from starting is one line: the thing, and the remedy."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from compose import engine, preflight
from compose.cli import main
from compose.engine import Container, Mounted, Published, Wanted
from compose.preflight import Finding

from . import fake_docker
from .fake_docker import FakeDocker

EXAMPLE = "# What it is.\nKAFKA_PORT=9092\n#AIRFLOW_UID=1000\n"


def texts(findings: list[Finding]) -> list[str]:
    assert all("\n" not in finding.text for finding in findings)
    return [finding.text for finding in findings]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """An engine where nothing is amiss, and a folder of its own in the place of the repository."""
    fake = fake_docker.installed(tmp_path, monkeypatch)
    root = tmp_path / "repository"
    root.mkdir()
    (root / ".env.example").write_text(EXAMPLE)
    (root / "password").write_text("secret\n")
    monkeypatch.setattr(engine, "ROOT", root)
    monkeypatch.chdir(root)
    fake.answers("compose", fake_docker.model("kafka", secrets={"password": str(root / "password")}))
    fake.answers(" ps ", "")
    fake.answers("ps --filter", "")
    fake.answers("compose version", "2.40.3\n")
    fake.answers("info", json.dumps({"MemTotal": 8_000_000_000, "ServerVersion": "28.0"}))
    return fake


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("docker")
def test_where_nothing_is_amiss_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight"]) == 0
    assert said(capsys) == []


def test_without_docker_it_says_what_needs_none(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(docker.folder.parent))
    assert main(["preflight"]) == 1
    assert said(capsys) == [
        "FAIL  Docker is not installed: see https://docs.docker.com/engine/install, "
        "or run `make up`, which needs no Docker"
    ]


@pytest.mark.parametrize(
    ("part", "out", "err", "line"),
    [
        (
            "info",
            "",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "the Docker daemon does not run: start Docker Desktop, or `sudo systemctl start docker`",
        ),
        (
            "info",
            "",
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: x",
            "Docker may not be used by this user: `sudo usermod -aG docker $USER`, then log in again",
        ),
        (
            "compose",
            "",
            "docker: 'compose' is not a docker command.\nSee 'docker --help'",
            "Docker Compose is not there",
        ),
        ("compose", "", "unknown flag: --project-directory\nSee 'docker --help'.", "Docker Compose is not there"),
        (
            "config",
            "",
            'level=warning msg="x"\nvalidating compose.yaml: services.a must be a mapping\n',
            "Docker refuses: validating compose.yaml: services.a must be a mapping; mend it",
        ),
    ],
)
def test_what_docker_says_comes_with_what_to_do(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str], part: str, out: str, err: str, line: str
) -> None:
    docker.answers(part, out, err, 1)
    assert main(["preflight"]) == 1
    lines = said(capsys)
    assert len(lines) == 1
    assert lines[0].startswith(f"FAIL  {line}")


def test_a_command_that_answers_without_its_daemon_is_understood(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"MemTotal": 0, "ServerErrors": ["Cannot connect to the Docker daemon at unix:///var/run/docker.sock."]}
    docker.answers("info", json.dumps(answer))
    assert main(["preflight"]) == 1
    assert said(capsys) == [
        "FAIL  the Docker daemon does not run: start Docker Desktop, or `sudo systemctl start docker`"
    ]


def test_an_engine_that_hangs_is_given_up(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (docker.folder / "docker").write_text("#!/bin/sh\nexec sleep 300\n")
    monkeypatch.setattr(engine, "_SECONDS", 0.2)
    assert main(["preflight"]) == 1
    assert said(capsys) == ["FAIL  Docker did not answer within 0 s: look at its daemon, then try again"]


def test_all_that_is_amiss_is_said_at_once(docker: FakeDocker, capsys: pytest.CaptureFixture[str]) -> None:
    (engine.ROOT / ".env").write_text("KAFKA_PROT=1\n")
    docker.answers("info", json.dumps({"MemTotal": 3_900_000_000}))
    missing = engine.ROOT / "nowhere"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        docker.answers("config", fake_docker.model("kafka", secrets={"password": str(missing)}, kafka=port))
        assert main(["preflight"]) == 1
    assert said(capsys) == [
        "FAIL  .env line 1: nothing reads KAFKA_PROT; did you mean KAFKA_PORT?",
        "FAIL  Docker has 3.9 GB of memory and 6 are needed: give it more (Docker Desktop: Settings, Resources)",
        f"FAIL  the secret password cannot be read: {missing}: No such file or directory: "
        "make the file, or set PASSWORD_FILE",
        f"FAIL  kafka: port {port} is taken: free it, or choose another by KAFKA_PORT in .env",
    ]


def test_an_old_compose_is_asked_nothing_more(docker: FakeDocker, capsys: pytest.CaptureFixture[str]) -> None:
    docker.answers("compose version", "v2.20.2-desktop.1\n")
    assert main(["preflight"]) == 1
    assert said(capsys) == ["FAIL  Docker Compose 2.20.2 is too old, 2.24 is needed: update docker-compose-plugin"]
    assert not any("config" in asked for asked in docker.asked())


def test_the_oldest_compose_is_good_enough() -> None:
    assert preflight.of_compose((2, 24, 0)) == []
    assert preflight.of_compose((2, 100, 1)) == []
    assert preflight.of_compose((5, 0, 0)) == []


def test_the_least_memory_is_enough() -> None:
    assert preflight.of_memory(6_000_000_000) == []
    assert len(preflight.of_memory(5_999_999_999)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, []),
        ("", []),
        ("# a comment\n\nKAFKA_PORT=1\n AIRFLOW_UID = 7\nexport KAFKA_PORT='2' # mine\n", []),
        ("KAFKA_PORT=\n", [".env line 1: KAFKA_PORT is empty: give it a value, or delete the line"]),
        ("\nAIRFLOW_UID='' # later\n", [".env line 2: AIRFLOW_UID is empty: give it a value, or delete the line"]),
        ("KAFKA_PROT=1\n", [".env line 1: nothing reads KAFKA_PROT; did you mean KAFKA_PORT?"]),
        ("MINE=1\n", [".env line 1: nothing reads MINE; .env.example names those that are"]),
        ("KAFKA_PORT 9092\n", [".env line 1 is no NAME=value: mend it, or begin it with #"]),
        ("COMPOSE_PROFILES=ui\n", []),
        ("HTTP_PROXY=x\n", [".env line 1: nothing reads HTTP_PROXY; .env.example names those that are"]),
    ],
)
def test_names_and_values_of_dot_env(text: str | None, expected: list[str]) -> None:
    assert texts(preflight.of_dot_env(text, EXAMPLE)) == expected


def test_a_name_of_ones_own_stops_nothing() -> None:
    assert [finding.fatal for finding in preflight.of_dot_env("MINE=1\nKAFKA_PRT=1\n", EXAMPLE)] == [False, True]


def test_secrets_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "good").write_text("x")
    secrets = {"b": tmp_path / "empty", "a": tmp_path, "c": tmp_path / "good"}
    assert texts(preflight.of_secrets(secrets)) == [
        f"the secret a cannot be read: {tmp_path}: Is a directory: make the file, or set A_FILE",
        f"the secret b is empty: {tmp_path / 'empty'}: write the password into it, or set B_FILE",
    ]


def one(service: str, state: str, port: int) -> Container:
    return Container("i", service, 1, "", state, "", 0, (Published("127.0.0.1", port, 1),))


def ports(wanted: list[Wanted], containers: list[Container], taken: set[int]) -> list[str]:
    by = {9092: "devstack's kafka, which `make down VIA=devstack` stops"}
    return texts(preflight.of_ports(wanted, containers, lambda _, port: port not in taken, by.get))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((None, None, None, None), []),
        (("1000", "LocalExecutor", None, "mine/airflow:1"), []),
        ((None, "CeleryExecutor", "ui,celery", None), []),
        (("0", None, None, None), ["AIRFLOW_UID is 0: give the number of an account that is not root, or delete it"]),
        (("me", None, None, None), ["AIRFLOW_UID is me: give the number of an account that is not root, or delete it"]),
        (
            (None, "CeleryExecutor", "ui", None),
            ["AIRFLOW_EXECUTOR=CeleryExecutor without workers leaves every task queued: COMPOSE_PROFILES=celery"],
        ),
        (
            (None, None, None, "apache/airflow:3.3.2"),
            [
                "AIRFLOW_IMAGE_NAME is apache/airflow:3.3.2, which has no wheel of Millstream: "
                "delete it; what ours is built on is AIRFLOW_IMAGE"
            ],
        ),
    ],
)
def test_values_that_airflow_would_not_run_with(
    values: tuple[str | None, str | None, str | None, str | None], expected: list[str]
) -> None:
    assert texts(preflight.of_airflow(*values)) == expected


def test_a_folder_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    dags, secret, script = tmp_path / "dags", tmp_path / "secret", tmp_path / "script.sh"
    mounted = [
        Mounted("airflow-scheduler", 50000, 0, dags),
        Mounted("airflow-triggerer", 50000, 0, dags),
        Mounted("kafka", 1000, 1000, script),
        Mounted("kafka", 1000, 1000, there),
        Mounted("postgres", 999, 999, secret),
    ]
    # A secret that is missing is told as one.
    assert texts(preflight.of_missing(mounted, {"password": secret})) == [
        f"airflow-scheduler needs {dags}, which is not there: "
        "make it, or set AIRFLOW_PROJ_DIR to the folder that has it",
        f"kafka needs {script}, which is not there: make it",
    ]


def test_what_only_a_build_reads_may_be_empty() -> None:
    document = {
        "name": "m",
        "services": {"a": {"build": {"secrets": [{"source": "ca"}]}, "secrets": [{"source": "key"}]}},
        "secrets": {"ca": {"file": "/dev/null"}, "key": {"file": "/k"}},
    }
    assert engine.read_model(json.dumps(document)).secrets == {"key": Path("/k")}


def test_a_taken_port_names_who_has_it_and_what_moves_it() -> None:
    kafka = Wanted("kafka", "127.0.0.1", range(9092, 9093))
    consumer = Wanted("consumer", "127.0.0.1", range(9090, 9093))
    own = Wanted("mine", "127.0.0.1", range(1, 2))
    assert ports([kafka, consumer, own], [], set()) == []
    assert ports([kafka], [], {9092}) == [
        "kafka: port 9092 is taken (by devstack's kafka, which `make down VIA=devstack` stops): "
        "free it, or choose another by KAFKA_PORT in .env"
    ]
    # One of a range is enough, and what our own containers hold is theirs.
    assert ports([consumer], [], {9090, 9091}) == []
    assert ports([kafka], [one("kafka", "running", 9092)], {9092}) == []
    assert ports([kafka], [one("kafka", "exited", 9092)], {9092}) != []
    # A service does not take another's.
    assert ports([kafka], [one("cassandra", "running", 9092)], {9092}) == [
        "kafka: port 9092 is taken (by the container of cassandra): free it, or choose another by KAFKA_PORT in .env"
    ]
    cassandra = Wanted("cassandra", "127.0.0.1", range(9092, 9093))
    assert ports([kafka, cassandra], [], set()) == [
        "cassandra: port 9092 is kafka's, too: free it, or choose another by CASSANDRA_PORT in .env"
    ]
    assert ports([consumer, own], [], {1, 9090, 9091, 9092}) == [
        "consumer: ports 9090 to 9092 are all taken: free it, or choose another by CONSUMER_PORTS in .env",
        "mine: port 1 is taken: free it",
    ]


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not preflight.is_free("127.0.0.1", port)
        assert not preflight.is_free("0.0.0.0", port)
    assert preflight.is_free("127.0.0.1", port)


def mode(path: Path, bits: int) -> Path:
    path.chmod(bits)
    return path


def test_what_a_container_may_not_read_is_named_with_its_user(tmp_path: Path) -> None:
    own, group = os.getuid(), os.getgid()
    other = own + 1
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "users.py").write_text("")
    (tmp_path / "key").write_text("x")
    key, dags = tmp_path / "key", tmp_path / "dags"

    def found(service: str, user: int, in_group: int, source: Path, uid: str | None = None) -> list[str]:
        return texts(preflight.of_readers([Mounted(service, user, in_group, source)], uid))

    mode(key, 0o600)
    assert found("postgres", own, group, key) == []
    assert found("postgres", other, group + 1, key) == [
        f"postgres runs as user {other}, who may not read {key}: chmod o+r {key}"
    ]
    mode(key, 0o640)
    assert found("postgres", other, group, key) == []
    assert len(found("postgres", other, group + 1, key)) == 1
    # The owner's own bits hold for the owner, as the kernel has it.
    mode(key, 0o044)
    assert len(found("postgres", own, group, key)) == 1
    assert found("postgres", other, group + 1, key) == []

    mode(dags, 0o755)
    mode(dags / "users.py", 0o644)
    assert found("airflow-scheduler", other, group + 1, dags) == []
    mode(dags / "users.py", 0o600)
    assert found("airflow-scheduler", other, group + 1, dags) == [
        f"airflow-scheduler runs as user {other}, who may not read {dags / 'users.py'}: "
        f"chmod o+r {dags / 'users.py'}, or put AIRFLOW_UID={own} into .env"
    ]
    assert "AIRFLOW_UID" not in found("airflow-scheduler", other, group + 1, dags, "7")[0]
    mode(dags, 0o744)
    assert f"chmod o+rx {dags}" in found("airflow-scheduler", other, group + 1, dags)[0]
    assert found("airflow-scheduler", other, group + 1, tmp_path / "missing") == []


def test_the_files_say_who_reads_what() -> None:
    document = {
        "name": "millstream",
        "services": {
            "a": {
                "user": "999:998",
                "volumes": [
                    {"type": "bind", "source": "/somewhere/dags", "target": "/dags"},
                    {"type": "volume", "source": "a-data", "target": "/data"},
                ],
                "secrets": [{"source": "key"}, {"source": "outside"}],
            },
            "b": {"volumes": [{"type": "bind", "source": "/somewhere/else", "target": "/x"}]},
            "c": {"user": "5", "secrets": [{"source": "key"}]},
        },
        "secrets": {"key": {"file": "/somewhere/key"}, "outside": {"external": True}},
    }
    assert engine.read_model(json.dumps(document)).mounted == (
        Mounted("a", 999, 998, Path("/somewhere/dags")),
        Mounted("a", 999, 998, Path("/somewhere/key")),
        Mounted("c", 5, 0, Path("/somewhere/key")),
    )


def test_the_environment_comes_before_dot_env(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = mode(engine.ROOT / "password", 0o600)
    document = json.loads(fake_docker.model("airflow-worker", secrets={"password": str(secret)}))
    document["services"]["airflow-worker"] |= {"user": f"{os.getuid() + 1}", "secrets": [{"source": "password"}]}
    docker.answers("config", json.dumps(document))
    monkeypatch.setattr(sys, "platform", "linux")
    hint = f"AIRFLOW_UID={os.getuid()} into .env"
    for text, value, expected in ((None, None, True), ("AIRFLOW_UID=7 # mine\n", None, False), (None, "7", False)):
        (engine.ROOT / ".env").write_text(text or "")
        monkeypatch.delenv("AIRFLOW_UID", raising=False)
        if value:
            monkeypatch.setenv("AIRFLOW_UID", value)
        assert main(["preflight"]) == 1
        (line,) = said(capsys)
        assert "may not read" in line
        assert (hint in line) == expected
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["preflight"]) == 0
