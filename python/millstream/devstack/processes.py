"""Processes by identity: a pid alone is not one, because the kernel gives it out again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import StartError, StopError

_PROC = Path("/proc")
_POLL_SECONDS = 0.02

# The server is a background job of a shell that ends at once, so that init owns and reaps it whoever
# called, and none of the caller's pipes stays open in it. The shell's only output is the pid.
_LAUNCHER = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that can be told from a later one with the same pid."""

    pid: int
    start_ticks: int
    """Kernel clock ticks from boot to the process's start (field 22 of /proc/PID/stat)."""
    boot_id: str
    """The boot in which those ticks count."""


def parse_stat(stat: str) -> tuple[str, int, int]:
    """State letter, parent pid and start ticks from the text of /proc/PID/stat.

    The command's name stands in parentheses and may itself hold spaces and parentheses, so fields are
    counted from the last one.
    """
    fields = stat[stat.rindex(")") + 1 :].split()
    return fields[0], int(fields[1]), int(fields[19])


def boot_id() -> str:
    """The kernel's random name of the running boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of the process that has this pid now; None when there is none or only its zombie.

    A zombie whose other threads are still ending counts as there: its ports are not free yet.
    """
    try:
        state, _, start_ticks = parse_stat((_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, IndexError):
        return None
    if state in "ZXx" and not _has_other_threads(pid):
        return None
    return ProcessIdentity(pid, start_ticks, boot_id())


def _has_other_threads(pid: int) -> bool:
    try:
        return len(list((_PROC / str(pid) / "task").iterdir())) > 1
    except OSError:
        return False


def is_alive(process: ProcessIdentity) -> bool:
    """Whether this very process, not a later one with its pid, still runs."""
    return identify(process.pid) == process


def spawn(argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> ProcessIdentity:
    """Start a server detached: own session, no input, output appended to `log`.

    Raises StartError when it is gone before it could be identified.
    """
    launched = subprocess.run(
        ["/bin/sh", "-c", _LAUNCHER, "sh", str(log), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
        check=True,
        timeout=30,
    )
    process = identify(int(launched.stdout))
    if process is None:
        raise StartError(f"{argv[0]} ended as soon as it was started; see {log}")
    return process


def send_signal(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal this very process; False when it no longer runs.

    A pidfd is opened first and the identity checked after, so the signal cannot reach a process that
    took the pid in between.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_gone(process: ProcessIdentity, seconds: float) -> bool:
    """Whether the process ended within so many seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def terminate(process: ProcessIdentity, number: signal.Signals = signal.SIGTERM, *, grace: float = 30.0) -> bool:
    """End the process: `number` first, SIGKILL after `grace` seconds. False when it was gone already.

    Raises StopError when it outlives SIGKILL by ten seconds (a process stuck in the kernel).
    """
    if not send_signal(process, number):
        return False
    # A process stopped by SIGSTOP acts on nothing but SIGKILL until it is continued.
    send_signal(process, signal.SIGCONT)
    if wait_gone(process, grace):
        return True
    send_signal(process, signal.SIGKILL)
    if not wait_gone(process, 10.0):
        raise StopError(
            f"process {process.pid} outlived SIGKILL by 10 s; look at its state in /proc/{process.pid}/status"
        )
    return True


def working_in(folder: Path) -> list[int]:
    """The pids of the living processes whose working directory this is, as far as we may look."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except OSError:
                continue
    return sorted(found)


def _status_kibibytes(pid: int, field: str) -> int:
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


def _children(pid: int) -> list[int]:
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            _, parent, _ = parse_stat((entry / "stat").read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found.append(int(entry.name))
    return found


def resident_bytes(process: ProcessIdentity) -> int:
    """Resident memory of the process and of its children, in bytes; 0 when it is gone.

    Of the children only their own anonymous pages count: what they share with the parent
    (PostgreSQL's buffers) is in the parent's figure already.
    """
    if not is_alive(process):
        return 0
    children = sum(_status_kibibytes(child, "RssAnon") for child in _children(process.pid))
    return (_status_kibibytes(process.pid, "VmRSS") + children) * 1024
