"""A registry that knows one id, for what needs no real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCHEMA_ID = 7


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    schema = ""
    seen: list[str]

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).schema = document["schema"]
        self._answer({"id": SCHEMA_ID, "subject": "any", "version": 1, "schema": self.schema})

    def do_GET(self) -> None:
        self._answer({"schema": self.schema})

    def _answer(self, document: object) -> None:
        self.seen.append(f"{self.command} {self.path}")
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Quiet: what was asked is in `seen`."""


class StubRegistry:
    """Where it listens, and what it was asked."""

    def __init__(self, port: int, seen: list[str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.seen = seen


@contextmanager
def stub_registry() -> Iterator[StubRegistry]:
    """Registers whatever it is given under one id, and gives the last schema back."""
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield StubRegistry(server.server_address[1], seen)
        server.shutdown()
        thread.join()
