"""`python -m millstream.sample_api`: serves people until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from .query import FAULTS, Fault
from .server import Server

EXIT_UNAVAILABLE = 69


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m millstream.sample_api",
        description="randomuser.me's answers in shape: seeded, paginated, and able to misbehave on demand.",
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    made.add_argument("--port", type=int, default=5005, help="port; 0 takes a free one (default: %(default)s)")
    made.add_argument("--seed", default="millstream", help="seed of requests that name none (default: %(default)s)")
    made.add_argument(
        "--people", type=_positive, metavar="N", help="people each seed has; pages beyond are empty (default: no end)"
    )
    made.add_argument("--fail", choices=FAULTS, help="misbehave where a request has no `fail` of its own")
    made.add_argument(
        "--first-n", type=_positive, metavar="N", help="misbehave only for the first N requests of a path and seed"
    )
    made.add_argument("--retry-after", type=_positive, default=1, metavar="S", help="seconds a 429 names (default: 1)")
    made.add_argument("--delay", type=float, default=1.0, metavar="S", help="seconds between slow bytes (default: 1)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the exit code."""
    options = parser().parse_args(arguments)
    fault = Fault(options.fail, options.first_n, options.retry_after, options.delay) if options.fail else None
    return asyncio.run(_serve(options.host, options.port, Server(options.seed, options.people, fault)))


async def _serve(host: str, port: int, server: Server) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, stopping.set)
    try:
        bound = await server.start(host, port)
    except (OSError, OverflowError) as refusal:
        print(f"cannot listen on {host}:{port}: {refusal}; choose another with --port", file=sys.stderr)
        return EXIT_UNAVAILABLE
    print(f"http://{host}:{bound}/api/", flush=True)
    await stopping.wait()
    await server.stop()
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
