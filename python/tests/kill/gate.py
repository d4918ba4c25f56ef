"""A gate between the consumer and Cassandra that can swallow what is written, so that a kill leaves nothing half done."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

_CHUNK = 65_536


class CassandraGate:
    """Forwards TCP to `upstream` ("host:port"); while it is shut, bytes from clients are swallowed.

    Stopping the server instead would not do: what lies in its socket is executed once it goes on, after the kill.
    """

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._shut = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.swallowed = 0
        """Bytes that were swallowed so far."""

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def __enter__(self) -> CassandraGate:
        threading.Thread(target=self._accept, name="gate", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        self._close_all()

    def shut(self) -> None:
        """Swallow from now on what clients send; answers to what was sent before still pass."""
        self._shut.set()

    def reopen(self) -> None:
        """Forward again, on new connections only: the old ones lack what was swallowed."""
        self._close_all()
        self._shut.clear()

    def _close_all(self) -> None:
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            for source, target, swallows in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, target, swallows), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, swallows: bool) -> None:
        try:
            while chunk := source.recv(_CHUNK):
                if swallows and self._shut.is_set():
                    self.swallowed += len(chunk)
                else:
                    target.sendall(chunk)
        except OSError:
            pass
        finally:
            for connection in (source, target):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(source)
            source.close()
