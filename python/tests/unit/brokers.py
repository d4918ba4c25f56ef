"""Brokers that do not let a client in: as much of Kafka's protocol as comes before that."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
# Produce, Fetch and Metadata as a broker has them that knows SaslAuthenticate; then librdkafka frames its login.
OFFERED = {0: (3, 7), 1: (4, 10), 3: (0, 5), SASL_HANDSHAKE: (0, 1), API_VERSIONS: (0, 3), SASL_AUTHENTICATE: (0, 1)}
SASL_AUTHENTICATION_FAILED = 58


class _Refusing(socketserver.StreamRequestHandler):
    """Answers the handshake and refuses the credentials, as kafka.network does with a wrong password."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while size := self.rfile.read(4):
                request = self.rfile.read(int.from_bytes(size, "big"))
                key, version, correlation = struct.unpack_from(">hhi", request)
                body = struct.pack(">i", correlation) + _answer(key, version)
                self.wfile.write(struct.pack(">i", len(body)) + body)
                if key == SASL_AUTHENTICATE:
                    return


def _answer(key: int, version: int) -> bytes:
    if key == API_VERSIONS:
        # From version 3 on lengths are one more than they are, and everything ends with its tagged fields.
        tags = b"\0" if version >= 3 else b""
        entries = b"".join(struct.pack(">hhh", api, *versions) + tags for api, versions in OFFERED.items())
        count = bytes([len(OFFERED) + 1]) if version >= 3 else struct.pack(">i", len(OFFERED))
        throttle = struct.pack(">i", 0) if version >= 1 else b""
        return struct.pack(">h", 0) + count + entries + throttle + tags
    if key == SASL_HANDSHAKE:
        return struct.pack(">hi", 0, 1) + _text("PLAIN")
    text = "Authentication failed: Invalid username or password"
    lifetime = struct.pack(">q", 0) if version >= 1 else b""
    return struct.pack(">h", SASL_AUTHENTICATION_FAILED) + _text(text) + struct.pack(">i", 0) + lifetime


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    @property
    def address(self) -> str:
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"


@contextlib.contextmanager
def _served(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.address
        server.shutdown()


def refusing_broker() -> contextlib.AbstractContextManager[str]:
    """The address of a broker with SASL/PLAIN that takes no password."""
    return _served(_Refusing)


class _Plaintext(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            connection: socket.socket = self.request
            connection.recv(4_096)
            connection.sendall(b"\0\0\0\4not TLS")


def plaintext_broker() -> contextlib.AbstractContextManager[str]:
    """The address of a server that does not speak TLS."""
    return _served(_Plaintext)
