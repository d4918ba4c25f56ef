"""The pinned versions of everything the stack runs, and where Maven finds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# The plugin is pinned as well: an unpinned one resolves to whatever is newest on the day. It is the last one that
# fetches an archive without reading its descriptor first: the registry's names a parent that is not published.
MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.10"


class Packing(Enum):
    """What Maven brings, and so what is done with it."""

    CLASSPATH = "classpath"
    """A jar and all it depends on at run time: a folder of jars."""
    TAR_GZ = "tar.gz"
    """One archive, unpacked."""
    JAR_OF_TXZ = "jar"
    """A jar that holds one .txz archive, unpacked."""


@dataclass(frozen=True)
class Release:
    """One server at one version."""

    name: str
    version: str
    packing: Packing
    artifacts: tuple[str, ...]
    """Maven coordinates, `group:artifact:version[:type[:classifier]]`."""


KAFKA = Release(
    "kafka",
    "4.3.1",
    Packing.CLASSPATH,
    # Kafka's own set has no SLF4J binding; without one its log is silent.
    ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"),
)
CASSANDRA = Release("cassandra", "5.0.9", Packing.CLASSPATH, ("org.apache.cassandra:cassandra-all:5.0.9",))
REGISTRY = Release("registry", "3.0.9", Packing.TAR_GZ, ("io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all",))

# The machine's name as the kernel gives it -> the part of the artifact's name that stands for it.
_POSTGRES_BUILDS = {"x86_64": "amd64", "aarch64": "arm64v8"}


def postgres(machine: str) -> Release | None:
    """PostgreSQL for this machine (`x86_64`, `aarch64`), or None where no build is published."""
    build = _POSTGRES_BUILDS.get(machine)
    if build is None:
        return None
    artifact = f"io.zonky.test.postgres:embedded-postgres-binaries-linux-{build}:17.5.0"
    return Release("postgres", "17.5", Packing.JAR_OF_TXZ, (artifact,))
