"""PostgreSQL: one database for the pipeline, one for the schema registry."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from .. import processes, readiness, toolchain, versions
from ..errors import MissingToolError, StartError
from ..ports import HOST
from ..versions import Release
from .base import Command, Instance, Server

USER = "millstream"
# A development login on the loopback address; not a secret.
PASSWORD = "millstream"  # noqa: S105
DATABASE = "millstream"
REGISTRY_DATABASE = "apicurio"

_UNPRIVILEGED = "nobody"
# Backends notice the death of their parent at once; a checkpoint under way is finished first.
_PREDECESSOR_SECONDS = 15.0


class Postgres(Server):
    """A PostgreSQL that listens on the loopback address only and asks for a password."""

    name = "postgres"
    usual_ports: ClassVar[Mapping[str, int | None]] = {"client": 5432}
    default_heap = ""
    # SIGINT is PostgreSQL's fast shutdown: SIGTERM waits for every client to leave by itself.
    stop_signal = signal.SIGINT

    def release(self) -> Release:
        found = versions.postgres(platform.machine())
        if found is None:
            raise MissingToolError(
                f"no PostgreSQL build is published for {platform.machine()}: leave it out with --services"
            )
        return found

    def prepare(self, instance: Instance) -> None:
        instance.home.mkdir(parents=True, exist_ok=True)
        data = instance.home / "data"
        if not (data / "PG_VERSION").exists():
            _create_cluster(instance, data)
        _clear_lock(data)
        lines = [f"{key} = {_quoted(value)}" for key, value in self.configuration(instance).items()]
        included = data / "millstream.conf"
        included.write_text("\n".join(lines) + "\n", encoding="utf-8")
        _give_away(included)

    def configuration(self, instance: Instance) -> dict[str, str]:
        """postgresql.conf settings over initdb's; the instance's own win."""
        return {
            "listen_addresses": HOST,
            "port": str(instance.ports["client"]),
            # Socket paths are limited to 107 bytes; the folder's may be longer.
            "unix_socket_directories": "",
            "log_line_prefix": "%m ",
            **instance.settings,
        }

    def command(self, instance: Instance) -> Command:
        argv = (
            *_as_unprivileged(instance),
            str(instance.files / "bin" / "postgres"),
            "-D",
            str(instance.home / "data"),
        )
        return Command(argv)

    def probe(self, ports: Mapping[str, int], seconds: float) -> None:
        readiness.probe_postgres(ports["client"], USER, DATABASE, seconds)

    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        return {"MILLSTREAM_POSTGRES": dsn(self.address(ports))}


def dsn(address: str) -> str:
    """The pipeline's database at this address, as a connection URI."""
    return f"postgresql://{USER}:{PASSWORD}@{address}/{DATABASE}"


def _clear_lock(data: Path) -> None:
    """Remove the lock that a killed server left, once none of its processes is there any more.

    PostgreSQL itself takes any process with the pid in its lock for its living predecessor: one not yet reaped, or
    a stranger that got the pid. Ours are told by the folder they work in.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + _PREDECESSOR_SECONDS
    while lock.exists():
        running = processes.working_in(data)
        if not running:
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise StartError(
                f"PostgreSQL's process {running[0]} still works in {data}: end it, or choose another --dir"
            )
        else:
            time.sleep(0.05)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _create_cluster(instance: Instance, data: Path) -> None:
    # Whatever is there lacks its version file: an initdb that was killed half way.
    shutil.rmtree(data, ignore_errors=True)
    building = instance.home / "data.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    password = instance.home / "password"
    password.write_text(PASSWORD + "\n", encoding="utf-8")
    _give_away(building)
    _give_away(password)
    binaries = instance.files / "bin"
    # PostgreSQL's own locale: texts are ordered alike whatever locales the machine has.
    _run(instance, "initdb", [
        str(binaries / "initdb"), "-D", str(building), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
    ])  # fmt: skip
    password.unlink()
    single = [str(binaries / "postgres"), "--single", "-D", str(building), "-j", "postgres"]
    statements = "".join(f"CREATE DATABASE {name};\n\n" for name in (DATABASE, REGISTRY_DATABASE))
    _run(instance, "creating the databases", single, statements)
    with (building / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write("\ninclude 'millstream.conf'\n")
    # Single-user mode exits 0 over a refused statement, so the outcome is looked at: a database is a folder.
    databases = [entry for entry in (building / "base").iterdir() if entry.name.isdecimal()]
    if len(databases) < 5:
        raise StartError("PostgreSQL's databases were not created; delete its folder and start again")
    building.rename(data)


def _run(instance: Instance, what: str, argv: list[str], text: str = "") -> None:
    done = subprocess.run(
        [*_as_unprivileged(instance), *argv],
        input=text, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=120,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise StartError(f"PostgreSQL: {what} failed: {said[-1] if said else 'no message'}")


def _give_away(path: Path) -> None:
    """Let the account PostgreSQL runs under own this file or folder."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(path, account.pw_uid, account.pw_gid)


def _as_unprivileged(instance: Instance) -> tuple[str, ...]:
    """The prefix that runs PostgreSQL under another account when we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return ()
    prefix = (
        toolchain.setpriv(),
        f"--reuid={_UNPRIVILEGED}",
        f"--regid={pwd.getpwnam(_UNPRIVILEGED).pw_gid}",
        "--clear-groups",
    )
    if _reachable_by_all(instance.files) and _reachable_by_all(instance.home):
        return prefix
    # Root's own folders are closed to other accounts. This one right lets PostgreSQL pass through them; it is
    # less than the root it replaces, and no folder has to be opened to everybody. The secure bit keeps the
    # right through access(2), by which initdb looks for its sibling programs.
    return (*prefix, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")


def _reachable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
