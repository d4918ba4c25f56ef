"""The command line: `python -m compose VERB`, called by make."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from millstream.devstack import queries, tables
from millstream.devstack.errors import DevstackError

from . import engine, preflight, status, ways
from .errors import ComposeError

_FAILED = 1
_NOT_READY = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 failed, 2 wrong usage, 3 `status` found a container not ready."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ComposeError, DevstackError) as error:
        _tell(f"compose: {error}")
        return _FAILED
    except BrokenPipeError:
        # The reader went away (`| head`): say nothing more, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        return 130


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _which(options: argparse.Namespace) -> int:
    if options.via and options.via not in ways.WAYS:
        _tell(f"VIA={options.via} is neither {ways.DEVSTACK} nor {ways.COMPOSE}")
        return _FAILED
    there, unasked = ways.look(options.verb, options.via)
    choice = ways.choose(options.verb, options.via, there)
    if unasked and choice.way is None:
        _tell(f"compose: {unasked}")
        if options.via:
            return _FAILED
    if choice.said:
        _tell(choice.said)
    if choice.way:
        print(choice.way)
    return _FAILED if choice.failed else 0


def _preflight(_: argparse.Namespace) -> int:
    findings = preflight.run()
    for finding in findings:
        _tell(f"{'FAIL' if finding.fatal else 'note'}  {finding.text}")
    return _FAILED if any(finding.fatal for finding in findings) else 0


def _status(_: argparse.Namespace) -> int:
    rows = status.rows(engine.model(), containers := engine.containers())
    cells = [(row.service, row.health, row.version, row.address) for row in rows]
    print(tables.aligned(("service", "health", "version", "address"), cells))
    for container in containers:
        if said := _trouble(container):
            _tell(f"{container.service}: {said}")
    return 0 if all(row.ready for row in rows) else _NOT_READY


def _trouble(container: engine.Container) -> str:
    """Why a container is not as it should be, in its own words; empty where there is nothing to explain."""
    if container.health == "unhealthy":
        return engine.last_check(container.id)
    ended = container.state == "restarting" or (
        container.state == "exited" and container.exit_code not in status.STOPPED
    )
    return engine.last_words(container.id) if ended else ""


def _env(_: argparse.Namespace) -> int:
    found = status.environment(engine.model(), engine.containers())
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
    for name in status.VARIABLES.keys() - found.keys():
        _tell(f"compose: {status.not_there(status.VARIABLES[name])}")
    return 0 if found else _FAILED


def _topics(_: argparse.Namespace) -> int:
    found = status.environment(engine.model(), engine.containers())
    if "MILLSTREAM_KAFKA" not in found:
        raise ComposeError(status.not_there("kafka"))
    print(queries.topics_report(found["MILLSTREAM_KAFKA"]))
    return 0


def _confirm(options: argparse.Namespace) -> int:
    """Data is deleted only on a clear yes: typed on a terminal, or YES=1."""
    if os.environ.get("YES", "") not in ("", "0"):
        return 0
    what = "the volumes of all containers" if options.way == ways.COMPOSE else "the servers' data and logs"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        _tell(f"this deletes {what} ({options.way}): say YES=1 where nobody can be asked")
        return _FAILED
    print(
        f"Delete {what} ({options.way}): Kafka's records, Cassandra's rows, PostgreSQL's tables? [y/N] ",
        end="",
        file=sys.stderr,
    )
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return 0
    _tell("nothing is deleted")
    return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compose", description="Which servers run, and the containers.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    which = verbs.add_parser("which", help="the way that a target of make means: devstack or compose")
    which.add_argument("verb", choices=sorted(ways.NEEDS))
    which.add_argument("--via", default=os.environ.get("VIA", ""), help="the one to take (default: $VIA)")
    which.set_defaults(run=_which)
    confirm = verbs.add_parser("confirm", help="ask before data is deleted; YES=1 says yes")
    confirm.add_argument("way", choices=ways.WAYS)
    confirm.set_defaults(run=_confirm)
    for name, run, text in (
        ("preflight", _preflight, "what would keep the containers from starting"),
        ("status", _status, "one table of all containers"),
        ("env", _env, "the addresses, for `eval`"),
        ("topics", _topics, "topics with record counts, consumer groups with lag"),
    ):
        verbs.add_parser(name, help=text).set_defaults(run=run)
    return parser
