"""The table and the addresses."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from compose import engine, status
from compose.cli import main
from compose.errors import ComposeError

from . import fake_docker
from .fake_docker import FakeDocker, container, model, publisher


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    return fake_docker.installed(tmp_path, monkeypatch)


def test_a_container_is_read_as_compose_prints_it() -> None:
    # A published port is listed once for each address family; an exposed one has no port of the host.
    publishers = [publisher(9092, 9092), publisher(9092, 9092, "::"), publisher(0, 29092)]
    line = container("kafka", health="healthy", Name="millstream-kafka-12", Publishers=publishers)
    (found,) = engine.read_containers(line)
    assert (found.service, found.number, found.state, found.health) == ("kafka", 12, "running", "healthy")
    assert [port.port for port in found.published] == [9092, 9092]
    assert engine.read_containers(f"[{line}]") == [found]
    assert engine.read_containers("\n") == []
    assert engine.read_containers("[]") == []


@pytest.mark.parametrize(
    ("state", "health", "code", "one_shot", "word", "ready"),
    [
        ("running", "healthy", 0, False, "healthy", True),
        ("running", "starting", 0, False, "starting", False),
        ("running", "unhealthy", 0, False, "unhealthy", False),
        ("running", "", 0, False, "running", True),
        ("exited", "", 0, True, "done", True),
        ("exited", "", 1, True, "exited (1)", False),
        ("exited", "", 0, False, "stopped", False),
        ("exited", "unhealthy", 143, False, "stopped", False),
        ("exited", "unhealthy", 137, False, "exited (137)", False),
        ("restarting", "", 78, False, "restarting (exited 78)", False),
        ("created", "", 0, False, "created", False),
    ],
)
def test_how_a_container_is(state: str, health: str, code: int, one_shot: bool, word: str, ready: bool) -> None:
    (found,) = engine.read_containers(container("x", state=state, health=health, code=code))
    assert status.health(found, one_shot=one_shot) == (word, ready)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("apache/kafka:4.3.1", "4.3.1"),
        ("localhost:5000/kafka", "latest"),
        ("localhost:5000/kafka:4", "4"),
        ("postgres:17.5@sha256:0123", "17.5"),
        ("postgres@sha256:0123", "latest"),
    ],
)
def test_the_version_is_the_tag(image: str, version: str) -> None:
    assert status.version(image) == version


def test_the_table_has_every_container_and_every_service_without_one(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.answers("config", model("kafka", "topics", "consumer", "schema-registry", "postgres"))
    consumers = [
        container(
            "consumer",
            health=health,
            Name=f"millstream-consumer-{number}",
            Image="millstream-consumer:dev",
            Publishers=[publisher(9089 + number, 9090)],
        )
        for number, health in ((2, "unhealthy"), (1, "healthy"))
    ]
    docker.answers(
        " ps ",
        container("kafka", health="healthy", Publishers=[publisher(19092, 9092)])
        + container("topics", state="exited")
        + "".join(consumers)
        + container("schema-registry", health="healthy", Image="x/y:3", Publishers=[publisher(8081, 8080)])
        + container("kafka-ui", health="starting", Image="x/ui:v1"),
    )
    docker.answers("inspect", '{"Log": [{"Output": "old"}, {"Output": "not ready (waiting): cassandra\\nmore"}]}')
    assert main(["status"]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "service          health       version  address",
        "consumer-1       healthy      dev      http://127.0.0.1:9090",
        "consumer-2       unhealthy    dev      http://127.0.0.1:9091",
        "kafka            healthy      4.3.1    127.0.0.1:19092",
        "kafka-ui         starting     v1       -",
        "postgres         not created  -        -",
        "schema-registry  healthy      3        http://127.0.0.1:8081/apis/ccompat/v7",
        "topics           done         4.3.1    -",
    ]
    assert err == "consumer: not ready (waiting): cassandra\n"


def test_a_container_that_ends_again_and_again_has_the_last_word(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.answers("config", model("kafka", "topics", "consumer"))
    status_text = "Restarting (78) 4 seconds ago"
    docker.answers(
        " ps ",
        container("consumer", state="restarting", Status=status_text)
        + container("kafka", health="healthy")
        + container("topics", state="exited", code=1),
    )
    docker.answers("logs", "first\n", "consumer.toml: cannot be read\n\n")
    assert main(["status"]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split(maxsplit=1)[1].startswith("restarting (exited 78)")
    assert err == "consumer: consumer.toml: cannot be read\ntopics: consumer.toml: cannot be read\n"


def test_all_well_is_said_by_the_exit_code(docker: FakeDocker) -> None:
    docker.answers("config", model("kafka"))
    docker.answers(" ps ", container("kafka", health="healthy"))
    assert main(["status"]) == 0


def serving() -> str:
    ports = {"kafka": 9092, "cassandra": 9042, "schema-registry": 8081, "postgres": 5432}
    return "".join(container(name, Publishers=[publisher(port, 1)]) for name, port in ports.items())


def test_the_addresses_are_those_of_devstack(
    docker: FakeDocker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text("p@ss word'\n")
    docker.answers("config", model("kafka", secrets={"postgres_millstream_password": str(tmp_path / "password")}))
    docker.answers(" ps ", serving())
    assert main(["env"]) == 0
    found = dict(shlex.split(line)[1].split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert found == {
        "MILLSTREAM_KAFKA": "127.0.0.1:9092",
        "MILLSTREAM_CASSANDRA": "127.0.0.1:9042",
        "MILLSTREAM_REGISTRY": "http://127.0.0.1:8081/apis/ccompat/v7",
        "MILLSTREAM_POSTGRES": "postgresql://millstream:p%40ss%20word%27@127.0.0.1:5432/millstream",
    }


def test_an_address_that_is_not_there_says_whose(docker: FakeDocker, capsys: pytest.CaptureFixture[str]) -> None:
    docker.answers("config", model("kafka"))
    docker.answers(" ps ", serving().replace("running", "exited", 1))
    missing = "compose: kafka does not run: `make status` says why, `make logs S=kafka` more\n"
    assert main(["env"]) == 0
    out, err = capsys.readouterr()
    assert err == missing
    assert len(out.splitlines()) == 3
    assert main(["topics"]) == 1
    assert capsys.readouterr() == ("", missing)
    docker.answers(" ps ", "")
    assert main(["env"]) == 1


def test_a_secret_that_cannot_be_read_is_one_line(docker: FakeDocker, tmp_path: Path) -> None:
    missing = {"postgres_millstream_password": str(tmp_path / "nowhere")}
    docker.answers("config", model("kafka", secrets=missing))
    docker.answers(" ps ", serving())
    with pytest.raises(ComposeError, match=r"cannot be read: .*nowhere: No such file"):
        status.environment(engine.model(), engine.containers())
