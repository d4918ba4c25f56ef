"""The cache: complete or not there, fetched once, one line when it cannot be. Maven is a script here."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from millstream.devstack import artifacts, versions
from millstream.devstack.errors import FetchError, MissingToolError
from millstream.devstack.versions import Packing, Release

JARS = Release("server", "1.0", Packing.CLASSPATH, ("group:server:1.0", "group:log:2.0"))
ARCHIVE = Release("program", "1.0", Packing.TAR_GZ, ("group:program:1.0:tar.gz:all",))
NESTED = Release("database", "1.0", Packing.JAR_OF_TXZ, ("group:database:1.0",))

MAVEN = """#!/bin/sh
for argument; do
  case $argument in -DoutputDirectory=*) out=${argument#*=};; esac
done
echo called >>"$MAVEN_CALLS"
sleep "${MAVEN_SECONDS:-0}"
cp "$MAVEN_BRINGS"/* "$out"/ || exit 1
exit "${MAVEN_EXIT:-0}"
"""


FETCH = """
import sys
from pathlib import Path
from millstream.devstack import artifacts
from millstream.devstack.versions import Packing, Release
release = Release("server", "1.0", Packing.CLASSPATH, ("group:server:1.0", "group:log:2.0"))
artifacts.fetch(release, Path(sys.argv[1]), print)
"""


@pytest.fixture
def brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose files the script brings; its calls are lines of `calls` beside it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mvn").write_text(MAVEN)
    (programs / "mvn").chmod(0o755)
    folder = tmp_path / "central"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("MAVEN_BRINGS", str(folder))
    monkeypatch.setenv("MAVEN_CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(artifacts, "_RETRY_SECONDS", 0.01)
    return folder


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def fetch_quietly(release: Release, cache: Path) -> None:
    artifacts.fetch(release, cache, lambda line: None)


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.is_dir() and path.name.startswith(".")]


def test_jars_are_fetched_once(tmp_path: Path, brings: Path) -> None:
    (brings / "server-1.0.jar").write_bytes(b"jar")
    cache = tmp_path / "cache"
    lines: list[str] = []
    folder = artifacts.fetch(JARS, cache, lines.append)
    assert (folder / "lib" / "server-1.0.jar").read_bytes() == b"jar"
    assert artifacts.fetch(JARS, cache, lines.append) == folder
    assert calls(tmp_path) == 1
    assert lines[0] == "server 1.0: fetching"
    assert lines[1].startswith("server 1.0: fetched")
    assert len(lines) == 2


def test_two_at_once_fetch_once(tmp_path: Path, brings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (brings / "server-1.0.jar").write_bytes(b"jar")
    monkeypatch.setenv("MAVEN_SECONDS", "0.3")
    cache = tmp_path / "cache"
    fetchers = [subprocess.Popen([sys.executable, "-c", FETCH, str(cache)]) for _ in range(3)]
    assert [fetcher.wait(30) for fetcher in fetchers] == [0, 0, 0]
    assert calls(tmp_path) == 1
    assert leftovers(cache) == []


def test_another_set_of_artifacts_is_another_folder() -> None:
    changed = Release("server", "1.0", Packing.CLASSPATH, ("group:server:1.0",))
    assert artifacts.folder_name(JARS) != artifacts.folder_name(changed)


def test_what_cannot_be_fetched_leaves_nothing(tmp_path: Path, brings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (brings / "server-1.0.jar").write_bytes(b"half")
    monkeypatch.setenv("MAVEN_EXIT", "1")
    cache = tmp_path / "cache"
    with pytest.raises(FetchError, match=r"server 1\.0 could not be fetched") as caught:
        fetch_quietly(JARS, cache)
    assert caught.value.retryable
    assert "\n" not in str(caught.value)
    assert calls(tmp_path) == 3
    assert leftovers(cache) == []
    assert not (cache / artifacts.folder_name(JARS)).exists()


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path, brings: Path) -> None:
    (brings / "server-1.0.jar").write_bytes(b"jar")
    cache = tmp_path / "cache"
    (cache / f".{artifacts.folder_name(JARS)}.4242" / "download").mkdir(parents=True)
    fetch_quietly(JARS, cache)
    assert leftovers(cache) == []


def tar(mode: str, names: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{mode}") as archive:  # type: ignore[call-overload]
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def test_archives_are_unpacked(tmp_path: Path, brings: Path) -> None:
    (brings / "program-1.0-all.tar.gz").write_bytes(tar("gz", {"program-runner.jar": b"program"}))
    folder = artifacts.fetch(ARCHIVE, tmp_path / "cache", lambda line: None)
    assert (folder / "program-runner.jar").read_bytes() == b"program"
    assert not (folder / "download").exists()


def test_an_archive_inside_of_a_jar_is_unpacked(tmp_path: Path, brings: Path) -> None:
    with zipfile.ZipFile(brings / "database-1.0.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "")
        jar.writestr("database.txz", tar("xz", {"bin/database": b"program"}))
    folder = artifacts.fetch(NESTED, tmp_path / "cache", lambda line: None)
    assert (folder / "bin" / "database").read_bytes() == b"program"


@pytest.mark.parametrize(
    "content", [b"", b"no archive", tar("gz", {"a": b"a" * 1000})[:40]], ids=["empty", "text", "cut"]
)
def test_an_archive_that_is_none_is_one_line(tmp_path: Path, brings: Path, content: bytes) -> None:
    (brings / "program-1.0-all.tar.gz").write_bytes(content)
    with pytest.raises(FetchError, match=r"program 1\.0 could not be unpacked"):
        fetch_quietly(ARCHIVE, tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


def test_an_archive_cannot_write_outside(tmp_path: Path, brings: Path) -> None:
    (brings / "program-1.0-all.tar.gz").write_bytes(tar("gz", {"../../../outside": b"x"}))
    with pytest.raises(FetchError, match="could not be unpacked"):
        fetch_quietly(ARCHIVE, tmp_path / "cache")
    assert not (tmp_path / "outside").exists()


def test_a_cache_that_cannot_be_made_says_which_variable_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="set MILLSTREAM_CACHE"):
        fetch_quietly(JARS, tmp_path / "file" / "cache")


def test_no_maven_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"Maven is needed .*maven"):
        fetch_quietly(JARS, tmp_path / "cache")


def test_the_pom_names_every_artifact() -> None:
    text = artifacts.pom_xml(JARS)
    assert text.count("<dependency>") == 2
    assert "<artifactId>log</artifactId><version>2.0</version>" in text


def test_mavens_error_is_told_without_colours() -> None:
    assert artifacts.first_error("\x1b[0m\x1b[0m\n\x1b[1;31m[ERROR]\x1b[m no network\nmore") == "[ERROR] no network"
    assert artifacts.first_error("") == "Maven said nothing"


def test_postgres_is_published_for_two_machines() -> None:
    assert [versions.postgres(machine) is None for machine in ("x86_64", "aarch64", "riscv64")] == [False, False, True]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MILLSTREAM_CACHE": "/c"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/millstream/jars"),
        ({"HOME": "/h"}, "/h/.cache/millstream/jars"),
    ],
)
def test_the_cache_is_where_the_user_says(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MILLSTREAM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert artifacts.default_cache() == Path(expected)
