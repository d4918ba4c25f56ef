"""A `docker` command that answers what a test wrote down, and notes what it was asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

_PROGRAM = """#!{python} -IS
import json, sys
from pathlib import Path

folder = Path({folder!r})
asked = " ".join(sys.argv[1:])
with (folder / "asked").open("a") as log:
    log.write(asked + "\\n")
for part, out, err, code in json.loads((folder / "answers.json").read_text()):
    if part in asked:
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
sys.exit("the test has no answer for: docker " + asked)
"""


class FakeDocker:
    """Answers by the first entry whose words stand in the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._answers: list[tuple[str, str, str, int]] = []
        program = folder / "docker"
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
        program.chmod(0o755)
        self._save()

    def answers(self, part: str, out: str = "", err: str = "", code: int = 0) -> None:
        """From now on a command with these words gets this; the newest answer wins."""
        self._answers.insert(0, (part, out, err, code))
        self._save()

    def asked(self) -> list[str]:
        """Every command so far, without the leading `docker`."""
        log = self.folder / "asked"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def _save(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self._answers), encoding="utf-8")


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """Puts the command first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    for name in ("VIA", "YES", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "AIRFLOW_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MILLSTREAM_DEVSTACK", str(tmp_path / "devstack"))
    return FakeDocker(folder)


def container(service: str, *, state: str = "running", health: str = "", code: int = 0, **more: object) -> str:
    """A line of `docker compose ps --format json`, cut to what is read."""
    entry = {
        "ID": "9699a0e2350c",
        "Name": f"millstream-{service}-1",
        "Service": service,
        "Image": "apache/kafka:4.3.1",
        "State": state,
        "Health": health,
        "ExitCode": code,
        "Publishers": [],
        **more,
    }
    return json.dumps(entry) + "\n"


def publisher(port: int, target: int, url: str = "127.0.0.1") -> dict[str, object]:
    """One entry of a container's publishers."""
    return {"URL": url, "TargetPort": target, "PublishedPort": port, "Protocol": "tcp"}


def model(*services: str, secrets: dict[str, str] | None = None, **ports: str) -> str:
    """What `docker compose config --format json` prints, cut to what is read; `ports` are by service."""
    document = {
        "name": "millstream",
        "services": {
            name: {
                "depends_on": {"topics": {"condition": "service_completed_successfully"}} if name == "consumer" else {},
                "ports": [{"host_ip": "127.0.0.1", "target": 1, "published": ports[name]}] if name in ports else [],
            }
            for name in services
        },
        "secrets": {name: {"file": file} for name, file in (secrets or {}).items()},
    }
    return json.dumps(document)
