"""A gate between the consumer and Cassandra that holds back some writes, and swallows all of them when it is shut.

One write in many being late makes what a healthy server on the same machine hardly ever does: acknowledgements out of
order, writes of one row that arrive newest first, and a kill that finds old records unwritten below newer ones.
"""

from __future__ import annotations

import asyncio
import random
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType

_HOST = "127.0.0.1"
_WAIT_SECONDS = 10.0

# A frame of CQL's native protocol, version 4: version, flags, stream, opcode, length of the body.
_HEADER = struct.Struct(">BBhBi")
_REQUEST_V4 = 0x04
_EXECUTE, _BATCH = 0x0A, 0x0D

_HELD_SHARE = 0.02
# Far shorter than a write is waited for: these are late, not lost.
_HELD_SECONDS = (0.02, 1.2)


class CassandraGate:
    """Forwards TCP to `upstream` ("host:port"), frame by frame on the way there.

    Stopping the server instead would not do: what lies in its socket is executed once it goes on, after the kill.
    """

    def __init__(self, upstream: str, seed: int) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._shut = False
        self.forwarded = 0
        """Writes that were forwarded so far, late ones too."""
        self.held = 0
        """Writes that were held back so far."""
        self.swallowed = 0
        """Writes that were swallowed so far."""
        self.problem: str | None = None
        """What a client did that the gate does not understand."""

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        if self._server is None:
            raise RuntimeError("the gate is not open")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def __enter__(self) -> CassandraGate:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_SECONDS)
        self._loop.close()

    def shut(self) -> None:
        """Swallow from now on what clients send; answers to what was sent before still pass."""
        self._run(self._set_shut())

    def reopen(self) -> None:
        """Forward again, on new connections only: the old ones are cut, and what they held back is never written."""
        self._run(self._reset())

    def _run(self, steps: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(steps, self._loop).result(_WAIT_SECONDS)

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(lambda: _Connection(self), _HOST, 0)

    async def _set_shut(self) -> None:
        self._shut = True

    async def _reset(self) -> None:
        for connection in list(self._connections):
            connection.cut()
        self._shut = False

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cut()
        # Cut transports say so in the next turn of the loop.
        await asyncio.sleep(0)

    # What connections ask; they live in the loop's thread alone.

    async def connect(self, connection: _Connection) -> asyncio.WriteTransport:
        """A connection to the server, whose answers go to this client."""
        self._connections.add(connection)
        transport, _ = await self._loop.create_connection(lambda: _Answers(connection), *self._upstream)
        return transport

    def forget(self, connection: _Connection) -> None:
        """A client is gone."""
        self._connections.discard(connection)

    def passes(self, connection: _Connection, frame: bytes, opcode: int) -> bool:
        """Whether a frame goes on at once; one that is held back comes by `connection.send` later."""
        write = opcode in (_EXECUTE, _BATCH)
        if self._shut:
            self.swallowed += write
            return False
        if write and self._random.random() < _HELD_SHARE:
            self.held += 1
            self._loop.call_later(self._random.uniform(*_HELD_SECONDS), self._release, connection, frame)
            return False
        self.forwarded += write
        return True

    def _release(self, connection: _Connection, frame: bytes) -> None:
        if self._shut:
            self.swallowed += 1
        elif connection.send(frame):
            self.forwarded += 1


class _Connection(asyncio.Protocol):
    """A client's connection, with its own to the server."""

    def __init__(self, gate: CassandraGate) -> None:
        self._gate = gate
        self._buffer = bytearray()
        self._client: asyncio.Transport | None = None
        self._server: asyncio.WriteTransport | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a TCP connection is expected")
        self._client = transport
        transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, client: asyncio.Transport) -> None:
        try:
            self._server = await self._gate.connect(self)
        except OSError:
            self.cut()
        else:
            client.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        buffer = bytes(self._buffer)
        passed, at = [], 0
        while at + _HEADER.size <= len(buffer):
            version, _, _, opcode, length = _HEADER.unpack_from(buffer, at)
            if version != _REQUEST_V4:
                self._gate.problem = f"a request of protocol version {version:#x}, not of version 4"
                self.cut()
                return
            end = at + _HEADER.size + length
            if end > len(buffer):
                break
            frame = buffer[at:end]
            if self._gate.passes(self, frame, opcode):
                passed.append(frame)
            at = end
        del self._buffer[:at]
        self.send(b"".join(passed))

    def send(self, frames: bytes) -> bool:
        """Send to the server; False when it is cut off."""
        if self._server is None or self._server.is_closing():
            return False
        self._server.write(frames)
        return True

    def answer(self, data: bytes) -> None:
        """Send to the client."""
        if self._client is not None and not self._client.is_closing():
            self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut()

    def cut(self) -> None:
        """End both connections at once; what was not sent is dropped."""
        self._gate.forget(self)
        for transport in (self._client, self._server):
            if transport is not None:
                transport.abort()


class _Answers(asyncio.Protocol):
    """The server's side of a connection: all it says goes to the client."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.cut()
