"""Servers and binaries of the kill test. What is missing fails the run; nothing is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from millstream.devstack import Devstack

ROOT = Path(__file__).parents[3]
_BUILD_SECONDS = 3600
_NEEDED = ("MILLSTREAM_KAFKA", "MILLSTREAM_CASSANDRA")

# Build to the variable that names it where it is built already. The sound one is built last: it is what stays
# in the target folder.
_BUILDS = {
    "fault-commit-before-acknowledgement": "MILLSTREAM_CONSUMER_COMMIT_BEFORE_ACKNOWLEDGEMENT",
    "fault-offsets-past-hole": "MILLSTREAM_CONSUMER_OFFSETS_PAST_HOLE",
    "": "MILLSTREAM_CONSUMER",
}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Addresses of Kafka and Cassandra: those of the environment, else a stack of the session's own."""
    if all(os.environ.get(name) for name in _NEEDED):
        yield {name: os.environ[name] for name in _NEEDED}
        return
    with Devstack(tmp_path_factory.mktemp("stack"), services=("kafka", "cassandra"), free_ports=True) as stack:
        yield stack.env()


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The consumer by the cargo feature it is built with; "" is the sound one."""
    folder = tmp_path_factory.mktemp("binaries")
    return {feature: _binary(feature, variable, folder) for feature, variable in _BUILDS.items()}


def _binary(feature: str, variable: str, folder: Path) -> Path:
    given = os.environ.get(variable)
    if given:
        return Path(given).resolve(strict=True)
    command = ["cargo", "build", "--release", "--locked", "-p", "millstream-consumer"]
    if feature:
        command += ["--features", feature]
    subprocess.run(command, cwd=ROOT, check=True, timeout=_BUILD_SECONDS)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return Path(shutil.copy(target / "release" / "millstream-consumer", folder / (feature or "sound")))
