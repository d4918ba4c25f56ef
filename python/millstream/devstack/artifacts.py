"""Brings a server's files into the cache, once, whoever asks at the same time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from . import toolchain
from .errors import FetchError
from .versions import MAVEN_DEPENDENCY_PLUGIN, Packing, Release

_ATTEMPTS = 3
_ATTEMPT_SECONDS = 900
_RETRY_SECONDS = 2.0
_LOCK_SECONDS = 1800
_HEARTBEAT_SECONDS = 15.0
_COLOUR = re.compile("\\x1b\\[[0-9;]*m")

Report = Callable[[str], None]


def default_cache() -> Path:
    """Where fetched files are kept: `MILLSTREAM_CACHE`, else `millstream/jars` in the user's cache folder."""
    if chosen := os.environ.get("MILLSTREAM_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "millstream" / "jars"


def folder_name(release: Release) -> str:
    """The release's folder in the cache: another version, or another set of artifacts, gets another one."""
    digest = hashlib.sha256("\n".join(release.artifacts).encode()).hexdigest()[:8]
    return f"{release.name}-{release.version}-{digest}"


def fetch(release: Release, cache: Path, report: Report) -> Path:
    """The folder with the release's files, fetched by Maven when it is not there yet.

    The folder appears under its name complete or not at all. Of several callers at once one fetches and
    the others wait (half an hour at most). Raises FetchError or MissingToolError.
    """
    folder = cache / folder_name(release)
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"the cache folder {cache} cannot be made: {error.strerror}; set MILLSTREAM_CACHE") from error
    with _locked(cache / f".{folder.name}.lock", report):
        if folder.is_dir():
            return folder
        _remove_leftovers(cache, folder.name)
        building = cache / f".{folder.name}.{os.getpid()}"
        started = time.monotonic()
        report(f"{release.name} {release.version}: fetching")
        try:
            _fetch_into(release, building, report)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    seconds = time.monotonic() - started
    report(f"{release.name} {release.version}: fetched {len(files)} files, {size:.0f} MB, in {seconds:.0f} s")
    return folder


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_SECONDS
    waiting = False
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FetchError(f"another fetch has held {path} for {_LOCK_SECONDS} s") from None
                if not waiting:
                    report("waiting for another fetch of the same files")
                    waiting = True
                time.sleep(0.2)
        yield


def _remove_leftovers(cache: Path, name: str) -> None:
    # Only the lock's holder builds, so whatever is half built was left by one that was killed.
    for leftover in cache.glob(f".{name}.*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def _fetch_into(release: Release, building: Path, report: Report) -> None:
    downloads = building / "download"
    downloads.mkdir(parents=True)
    if release.packing is Packing.CLASSPATH:
        pom = building / "pom.xml"
        pom.write_text(pom_xml(release), encoding="utf-8")
        goal = [
            "-f", str(pom), f"{MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies", "-DincludeScope=runtime",
            f"-DoutputDirectory={downloads}",
        ]  # fmt: skip
        _run_maven(goal, release, building / "maven.log", report)
        jars = sorted(downloads.glob("*.jar"))
        if not jars:
            raise FetchError(f"Maven brought no jar for {release.name} {release.version}")
        downloads.rename(building / "lib")
        return
    for artifact in release.artifacts:
        goal = [f"{MAVEN_DEPENDENCY_PLUGIN}:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={downloads}"]
        _run_maven(goal, release, building / "maven.log", report)
    try:
        for archive in sorted(downloads.iterdir()):
            _unpack(archive, building)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise FetchError(f"{release.name} {release.version} could not be unpacked: {error}") from error
    shutil.rmtree(downloads)


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix == ".jar":
        with zipfile.ZipFile(archive) as jar:
            inner = next(name for name in jar.namelist() if name.endswith(".txz"))
            with jar.open(inner) as stream, tarfile.open(fileobj=stream, mode="r|xz") as tar:
                _extract(tar, into)
        return
    with tarfile.open(archive, mode="r:gz") as tar:
        _extract(tar, into)


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    # The filter refuses members that would land outside; Pythons before 3.10.12 and 3.11.4 lack it.
    if hasattr(tarfile, "data_filter"):
        tar.extractall(into, filter="data")
    else:
        tar.extractall(into)  # noqa: S202 - of archives whose checksums Maven has checked


def pom_xml(release: Release) -> str:
    """A Maven project that depends on the release's artifacts and nothing else."""
    dependencies = ""
    for artifact in release.artifacts:
        group, name, version = (escape(part) for part in artifact.split(":")[:3])
        dependencies += (
            f"    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version></dependency>\n"
        )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n'
        "  <modelVersion>4.0.0</modelVersion>\n"
        f"  <groupId>millstream</groupId><artifactId>{escape(release.name)}</artifactId>"
        "<version>1</version><packaging>pom</packaging>\n"
        f"  <dependencies>\n{dependencies}  </dependencies>\n"
        "</project>\n"
    )


def _run_maven(goal: list[str], release: Release, log: Path, report: Report) -> None:
    # -C: a file whose checksum does not match is refused, not warned about.
    command = [toolchain.maven(), "-B", "-q", "-C", *goal]
    for attempt in range(1, _ATTEMPTS + 1):
        with log.open("wb") as output:
            code = _wait_reporting(command, output.fileno(), release, report)
        if code == 0:
            return
        if attempt < _ATTEMPTS:
            report(f"{release.name} {release.version}: Maven failed, attempt {attempt} of {_ATTEMPTS}")
            time.sleep(_RETRY_SECONDS * attempt)
    said = first_error(log.read_text(encoding="utf-8", errors="replace"))
    raise FetchError(f"{release.name} {release.version} could not be fetched (is the network there?): {said}")


def first_error(log: str) -> str:
    """The line of Maven's output that says what is wrong, without its colours."""
    lines = [_COLOUR.sub("", line).strip() for line in log.splitlines()]
    return next((line for line in lines if line), "Maven said nothing")


def _wait_reporting(command: list[str], output: int, release: Release, report: Report) -> int:
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        while time.monotonic() - started < _ATTEMPT_SECONDS:
            try:
                return process.wait(timeout=_HEARTBEAT_SECONDS)
            except subprocess.TimeoutExpired:
                report(f"{release.name} {release.version}: still fetching after {time.monotonic() - started:.0f} s")
        return -1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
