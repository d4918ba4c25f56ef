"""The server: HTTP/1.1 with keep-alive on asyncio, nothing beyond the standard library."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from .answers import FAULTS_WITH_BODY, error, head, misbehave
from .pages import Pages
from .query import BadQueryError, Fault, Query, parse

MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 256
MAX_COUNTED_SEEDS = 10_000
IDLE_SECONDS = 60.0
START_SECONDS = 10.0

PATHS = ("/api/", "/api", "/api/1.4/", "/api/1.4")


class Server:
    """Answers on one event loop.

    Args:
        seed: The seed of requests that name none (randomuser.me draws one; here an answer never changes).
        population: How many people each seed has; pages beyond them are empty. None: without end, as the real API.
        fault: How to misbehave where a request does not say.
    """

    def __init__(self, seed: str = "millstream", population: int | None = None, fault: Fault | None = None) -> None:
        self.requests = 0
        self._seed = seed
        self._fault = fault
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sample-api-render")
        self._pages = Pages(self._executor, population)
        self._misbehaved: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._connections: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which the system chooses when `port` is 0."""
        self._listener = await asyncio.start_server(self._connected, host, port, limit=MAX_HEADER_BYTES)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes the listener and every connection."""
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is None:
            raise RuntimeError("a connection is served by a task of its own")
        self._connections.add(connection)
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                writer.write(error(503, "too many connections", "Connection: close\r\n"))
            else:
                while await self._exchange(reader, writer):
                    pass
            await writer.drain()
        except (ConnectionError, TimeoutError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass  # The client left or went quiet: nobody is there to be told.
        except asyncio.CancelledError:
            pass  # The server stops; the connection is closed below.
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request. False: close the connection."""
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
        except asyncio.LimitOverrunError:
            writer.write(error(431, f"a request may have {MAX_HEADER_BYTES} bytes of header", "Connection: close\r\n"))
            return False
        line, _, headers = request.partition(b"\r\n")
        words = line.decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            writer.write(error(400, "not an HTTP/1.1 request", "Connection: close\r\n"))
            return False
        names = {
            name.strip().lower(): value.strip().lower()
            for name, _, value in (entry.partition(b":") for entry in headers.split(b"\r\n"))
        }
        if names.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in names:
            writer.write(error(400, "a request takes no body", "Connection: close\r\n"))
            return False
        lasting = names.get(b"connection") != b"close" and words[2] != "HTTP/1.0"
        reusable = await self._answer(words[0], words[1], writer)
        await writer.drain()
        return lasting and reusable

    async def _answer(self, method: str, target: str, writer: asyncio.StreamWriter) -> bool:
        self.requests += 1
        path, _, query_string = target.partition("?")
        if method not in ("GET", "HEAD"):
            writer.write(error(405, "GET or HEAD", "Allow: GET, HEAD\r\nConnection: close\r\n"))
            return False
        if path in PATHS:
            return await self._answer_people(method, path, query_string, writer)
        if path == "/livez":
            writer.write(head(200, 3, "text/plain") + (b"ok\n" if method == "GET" else b""))
        else:
            writer.write(error(404, "people are at /api/"))
        return True

    async def _answer_people(self, method: str, path: str, query_string: str, writer: asyncio.StreamWriter) -> bool:
        try:
            query, fault = parse(query_string, self._seed, self._fault)
        except BadQueryError as refusal:
            writer.write(error(400, str(refusal)))
            return True
        due = fault if fault is not None and self._due(path, query, fault) else None
        if due is not None and due.kind not in FAULTS_WITH_BODY:
            return await misbehave(writer, due, b"")
        body = await self._pages.get(query)
        if due is not None:
            return await misbehave(writer, due, body)
        writer.write(head(200, len(body)))
        if method == "GET":
            writer.write(body)
        return True

    def _due(self, path: str, query: Query, fault: Fault) -> bool:
        """Whether this request is among the first n of its path and seed. Counts it."""
        if fault.first_n is None:
            return True
        key = (path, query.seed)
        count = self._misbehaved.pop(key, 0)
        self._misbehaved[key] = count + 1
        while len(self._misbehaved) > MAX_COUNTED_SEEDS:
            self._misbehaved.popitem(last=False)
        return count < fault.first_n


class SampleApi:
    """The server in a thread of this process, for tests: `with SampleApi() as api: fetch(api.url)`.

    Args:
        host, port: Where to listen; port 0 takes a free one.
        seed, population, fault: As for `Server`.

    Raises:
        OSError: The port is taken.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: str = "millstream",
        population: int | None = None,
        fault: Fault | None = None,
    ) -> None:
        self._address = (host, port)
        self._settings = (seed, population, fault)
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._refusal: OSError | None = None
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """The address of the people: `http://HOST:PORT/api/`."""
        return f"http://{self.host}:{self.port}/api/"

    @property
    def requests(self) -> int:
        """Requests answered so far."""
        return self._server.requests if self._server is not None else 0

    def __enter__(self) -> SampleApi:
        self._thread = threading.Thread(target=self._run, name="sample-api", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError("the sample API did not start")
        if self._refusal is not None:
            raise self._refusal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._server = Server(*self._settings)
        try:
            self.port = await self._server.start(*self._address)
        except OSError as refusal:
            self._refusal = refusal
            self._ready.set()
            return
        self._ready.set()
        await self._stopping.wait()
        await self._server.stop()
