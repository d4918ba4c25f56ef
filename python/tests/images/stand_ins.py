"""The third-party images, made here from the same software under the same names, for machines that can pull none.

Each has the folders, user, start command and environment of the public one as far as the compose files use them; the
compose files know nothing of it.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from millstream.devstack import artifacts, versions
from millstream.devstack.versions import Packing, Release

from .engine import Engine

FOLDER = Path(__file__).parent / "stand_in"
LOCKS = Path(__file__).parents[2] / "requirements"
JRE = "millstream-stand-in/jre:17"
LABEL = "millstream.stand-in"
BUILD_SECONDS = 1200.0

# The broker's jars and those of its command line tools, which are an artifact of their own.
KAFKA = Release(
    "kafka-image",
    versions.KAFKA.version,
    Packing.CLASSPATH,
    (*versions.KAFKA.artifacts, f"org.apache.kafka:kafka-tools:{versions.KAFKA.version}"),
)


@dataclass(frozen=True)
class StandIn:
    """One image: its public name, the folder of its Dockerfile and the software it is made of."""

    image: str
    folder: str
    release: Release | None = None


def stand_ins() -> tuple[StandIn, ...]:
    """All of them, as the compose files name them."""
    return (
        StandIn(f"apache/kafka:{KAFKA.version}", "kafka", KAFKA),
        StandIn(f"cassandra:{versions.CASSANDRA.version}", "cassandra", versions.CASSANDRA),
        StandIn("postgres:17.5", "postgres", versions.postgres(platform.machine())),
        StandIn(f"apicurio/apicurio-registry:{versions.REGISTRY.version}", "registry", versions.REGISTRY),
        StandIn("redis:7.2.11-bookworm", "redis"),
        StandIn("apache/airflow:3.3.2-python3.11", "airflow"),
    )


def make(engine: Engine, log: Path, report: Callable[[str], None]) -> list[str]:
    """Builds those that are not there, or are of other files than these; returns the names of those built."""
    made: list[str] = []
    missing = [entry for entry in stand_ins() if _is_missing(engine, entry)]
    if missing:
        engine.run("build", "--quiet", "--tag", JRE, "--file", str(FOLDER / "jre.Dockerfile"), str(FOLDER), log=log)
    for entry in missing:
        report(entry.image)
        files = ["--build-context", f"locks={LOCKS}"]
        if entry.release is not None:
            files += ["--build-context", f"files={artifacts.fetch(entry.release, artifacts.default_cache(), report)}"]
        # A label tells it from an image that was pulled.
        engine.run(
            "build", "--tag", entry.image, "--label", f"{LABEL}={_hash(entry)}", "--build-arg", f"JRE={JRE}",
            *files, str(FOLDER / entry.folder), log=log, seconds=BUILD_SECONDS,
        )  # fmt: skip
        made.append(entry.image)
    return made


def _is_missing(engine: Engine, entry: StandIn) -> bool:
    """Whether there is none; one that was pulled is the real thing, and stays."""
    if not engine.has_image(entry.image):
        return True
    found = engine.inspect(entry.image)[0]["Config"]["Labels"] or {}
    return LABEL in found and found[LABEL] != _hash(entry)


def _hash(entry: StandIn) -> str:
    folder = FOLDER / entry.folder
    digest = hashlib.sha256()
    for path in (FOLDER / "jre.Dockerfile", *sorted(path for path in folder.rglob("*") if path.is_file())):
        digest.update(f"{path.relative_to(FOLDER)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
