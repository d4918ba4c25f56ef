"""The command line: `python -m millstream.devstack VERB`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from . import queries, tables
from .errors import DevstackError
from .servers import postgres
from .stack import ALL_SERVICES, Devstack, check_service, tail
from .topics import TOPICS

_EXIT_FAILED = 1
_EXIT_NOT_READY = 3
_SIGNALS = {"STOP": signal.SIGSTOP, "CONT": signal.SIGCONT, "KILL": signal.SIGKILL, "TERM": signal.SIGTERM}
_DEFAULT_FOLDER = ".devstack"
_FOLDER_VARIABLE = "MILLSTREAM_DEVSTACK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 failed, 2 wrong usage, 3 `status` found a server not ready."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except DevstackError as error:
        print(f"devstack: {error}", file=sys.stderr)
        return _EXIT_FAILED
    except BrokenPipeError:
        # The reader went away (`| head`): say nothing more, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stack(options: argparse.Namespace) -> Devstack:
    return Devstack(
        options.dir,
        services=getattr(options, "services", None) or ALL_SERVICES,
        free_ports=getattr(options, "free_ports", False),
        heap=dict(getattr(options, "heap", None) or ()),
        settings=_settings(getattr(options, "set", None) or ()),
        report=_report,
    )


def _settings(pairs: Sequence[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    settings: dict[str, dict[str, str]] = {}
    for service, key, value in pairs:
        settings.setdefault(service, {})[key] = value
    return settings


def _up(options: argparse.Namespace) -> int:
    stack = _stack(options)
    started = time.monotonic()
    changed = stack.up(timeout=options.timeout)
    if options.topics:
        stack.create_topics()
    _report(f"up in {time.monotonic() - started:.1f} s" if changed else "already up")
    return _status(options)


def _down(options: argparse.Namespace) -> int:
    stopped = _stack(options).down(purge=options.purge)
    _report(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


def _status(options: argparse.Namespace) -> int:
    found = _stack(options).status()
    if not found:
        _report(f"no servers in {options.dir}: run `up` first")
        return _EXIT_NOT_READY
    rows = [
        (s.name, s.health, s.version, s.address, s.pid, tables.mebibytes(s.resident_bytes) if s.pid else None)
        for s in found
    ]
    print(tables.aligned(("service", "health", "version", "address", "pid", "memory"), rows, right=(4, 5)))
    return 0 if all(s.ready for s in found) else _EXIT_NOT_READY


def _env(options: argparse.Namespace) -> int:
    variables = _stack(options).env()
    if not variables:
        raise DevstackError(f"no servers in {options.dir}: run `up` first")
    if options.json:
        print(json.dumps(variables, indent=2))
    else:
        for name, value in variables.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def _logs(options: argparse.Namespace) -> int:
    stack = _stack(options)
    log = stack.log(options.service)
    if not log.exists():
        raise DevstackError(f"{options.service} has no log in {options.dir}: it was never started there")
    if options.follow:
        return subprocess.run(["tail", f"-n{options.lines}", "-F", str(log)], check=False).returncode
    print("\n".join(tail(log, options.lines)))
    return 0


def _start(options: argparse.Namespace) -> int:
    _stack(options).start(options.service)
    return 0


def _stop(options: argparse.Namespace) -> int:
    _stack(options).stop(options.service)
    return 0


def _restart(options: argparse.Namespace) -> int:
    _stack(options).restart(options.service)
    return 0


def _signal(options: argparse.Namespace) -> int:
    _stack(options).signal(options.service, _SIGNALS[options.signal])
    return 0


def _topics(options: argparse.Namespace) -> int:
    stack = _stack(options)
    if options.action == "create":
        known = {topic.name: topic for topic in TOPICS}
        for name in options.names:
            if name not in known:
                raise DevstackError(f"there is no topic {name!r} in the pipeline; choose from {', '.join(known)}")
        wanted = [known[name] for name in options.names] or list(TOPICS)
        for outcome in stack.create_topics(wanted):
            print(f"{outcome.name}: {'exists' if outcome.error_code else 'created'}")
        return 0
    print(queries.topics_report(stack.address("kafka")))
    return 0


def _cql(options: argparse.Namespace) -> int:
    for statement in queries.statements(options.statement, sys.stdin):
        print(queries.cql_report(_stack(options).address("cassandra"), statement))
    return 0


def _psql(options: argparse.Namespace) -> int:
    for statement in queries.statements(options.statement, sys.stdin):
        print(queries.psql_report(postgres.dsn(_stack(options).address("postgres")), statement))
    return 0


def _service_list(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        _service(name)
    return names


def _service(text: str) -> str:
    try:
        check_service(text)
    except DevstackError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _heap(text: str) -> tuple[str, str]:
    name, _, size = text.partition("=")
    if not size or not size[:-1].isdecimal() or size[-1] not in "kmgKMG":
        raise argparse.ArgumentTypeError("write SERVICE=SIZE with a unit, as in cassandra=2g")
    return _service(name), size


def _setting(text: str) -> tuple[str, str, str]:
    target, equals, value = text.partition("=")
    name, dot, key = target.partition(".")
    if not equals or not dot or not key:
        raise argparse.ArgumentTypeError("write SERVICE.KEY=VALUE, as in kafka.num.partitions=3")
    return _service(name), key, value


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--dir",
        default=os.environ.get(_FOLDER_VARIABLE, _DEFAULT_FOLDER),
        help=f"the stack's folder (default: ${_FOLDER_VARIABLE}, else {_DEFAULT_FOLDER})",
    )
    parser = argparse.ArgumentParser(
        prog="python -m millstream.devstack",
        description="Real Kafka, Cassandra, PostgreSQL and schema registry on this machine, without Docker.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", parents=[shared], help="start what does not run and wait until it serves")
    up.add_argument(
        "--services", type=_service_list, metavar="A,B", help=f"only these (default: {','.join(ALL_SERVICES)})"
    )
    up.add_argument("--free-ports", action="store_true", help="take free ports even where the usual ones are free")
    up.add_argument("--topics", action="store_true", help="create the pipeline's topics")
    up.add_argument(
        "--heap", type=_heap, action="append", metavar="SERVICE=SIZE", help="largest Java heap, as in kafka=1g"
    )
    up.add_argument(
        "--set", type=_setting, action="append", metavar="SERVICE.KEY=VALUE", help="a setting of the server's own"
    )
    up.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="for the servers to be ready (300)")
    up.set_defaults(run=_up)

    down = verbs.add_parser("down", parents=[shared], help="stop all that was started here")
    down.add_argument("--purge", action="store_true", help="delete data, configuration and logs too")
    down.set_defaults(run=_down)

    verbs.add_parser("status", parents=[shared], help="one table of all servers").set_defaults(run=_status)

    env = verbs.add_parser("env", parents=[shared], help="the addresses, for `eval`")
    env.add_argument("--json", action="store_true", help="as a JSON object")
    env.set_defaults(run=_env)

    logs = verbs.add_parser("logs", parents=[shared], help="a server's output")
    logs.add_argument("service", type=_service)
    logs.add_argument("-n", "--lines", type=int, default=50, help="how many lines (50)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.set_defaults(run=_logs)

    for name, run, text in (
        ("start", _start, "start one server"),
        ("stop", _stop, "stop one server the orderly way"),
        ("restart", _restart, "stop and start one server"),
    ):
        verb = verbs.add_parser(name, parents=[shared], help=text)
        verb.add_argument("service", type=_service)
        verb.set_defaults(run=run)

    sign = verbs.add_parser("signal", parents=[shared], help="send a signal to one server (fault tests)")
    sign.add_argument("service", type=_service)
    sign.add_argument("signal", choices=sorted(_SIGNALS))
    sign.set_defaults(run=_signal)

    topics = verbs.add_parser("topics", parents=[shared], help="topics with record counts and lag; `topics create`")
    topics.add_argument("action", nargs="?", choices=("list", "create"), default="list")
    topics.add_argument("names", nargs="*", metavar="TOPIC", help="with create: only these of the pipeline's topics")
    topics.set_defaults(run=_topics)

    cql = verbs.add_parser("cql", parents=[shared], help="ask Cassandra")
    cql.add_argument("statement", nargs="?", help="one CQL statement; from standard input when left out")
    cql.set_defaults(run=_cql)

    psql = verbs.add_parser("psql", parents=[shared], help="ask PostgreSQL")
    psql.add_argument("statement", nargs="?", help="one SQL statement; from standard input when left out")
    psql.set_defaults(run=_psql)
    return parser
