"""Finds the programs the stack needs, and says in one line how to get a missing one."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from .errors import MissingToolError

# The release Kafka, Cassandra and the registry are all run on in their own tests.
_TESTED_JAVA = 17
_JVM_FOLDERS = ("/usr/lib/jvm",)
_PACKAGES = {
    "java": {"apt-get": "openjdk-17-jre-headless", "dnf": "java-17-openjdk-headless"},
    "mvn": {"apt-get": "maven", "dnf": "maven"},
    "setpriv": {"apt-get": "util-linux", "dnf": "util-linux"},
}


def install_hint(tool: str, which: Mapping[str, bool]) -> str:
    """The command that installs a tool, given which package programs this system has."""
    for program, packages in (("apt-get", "apt-get install -y"), ("dnf", "dnf install -y")):
        if which.get(program):
            sudo = "" if os.geteuid() == 0 else "sudo "
            return f"{sudo}{packages} {_PACKAGES[tool][program]}"
    return f"install {_PACKAGES[tool]['apt-get']} with your system's packages"


def _hint(tool: str) -> str:
    return install_hint(tool, {name: shutil.which(name) is not None for name in ("apt-get", "dnf")})


def require_linux() -> None:
    """Raise MissingToolError where the stack cannot run at all."""
    if platform.system() != "Linux":
        raise MissingToolError(
            f"the local servers run on Linux only, not on {platform.system()}: "
            "run Kafka, Cassandra, PostgreSQL and a schema registry in containers and point MILLSTREAM_KAFKA "
            "and its siblings at them"
        )


def java_major(release_text: str) -> int | None:
    """The major version in the text of a Java home's `release` file."""
    found = re.search(r'^JAVA_VERSION="(\d+)', release_text, re.MULTILINE)
    return int(found.group(1)) if found else None


def _java_homes() -> Iterable[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if found := shutil.which("java"):
        yield Path(found).resolve().parent.parent
    for folder in _JVM_FOLDERS:
        if Path(folder).is_dir():
            yield from sorted(Path(folder).iterdir())


def java() -> str:
    """Path of the Java to run the servers with: 17 where there is one, else the first newer one.

    Looks at JAVA_HOME, PATH and the system's Java folder. Raises MissingToolError when there is none.
    """
    newer = None
    for home in _java_homes():
        program = home / "bin" / "java"
        try:
            major = java_major((home / "release").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if major == _TESTED_JAVA and os.access(program, os.X_OK):
            return str(program)
        if major is not None and major > _TESTED_JAVA and os.access(program, os.X_OK) and newer is None:
            newer = str(program)
    if newer is not None:
        return newer
    raise MissingToolError(f"Java {_TESTED_JAVA} is needed to run the servers and was not found: {_hint('java')}")


def maven() -> str:
    """Path of `mvn`; MissingToolError when there is none."""
    found = shutil.which("mvn")
    if found is None:
        raise MissingToolError(f"Maven is needed to fetch the servers and was not found: {_hint('mvn')}")
    return found


def setpriv() -> str:
    """Path of `setpriv`; MissingToolError when there is none."""
    found = shutil.which("setpriv")
    if found is None:
        raise MissingToolError(f"setpriv is needed to run PostgreSQL as root and was not found: {_hint('setpriv')}")
    return found
