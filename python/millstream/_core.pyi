"""The compiled core: everything below is written in Rust, and `millstream` re-exports it.

Every call that waits (for a server, a full queue, a delivery) lets other Python threads run meanwhile, and looks at
Python's signals at least every 100 ms: Ctrl-C and an Airflow timeout act at once. In a thread that is not the main one
Python itself delivers no signal.

Nothing is started by importing it. Connections and threads are made at the first use and belong to one process: after
`os.fork()` the same objects work in the child, which makes its own. Records that the parent has under way stay the
parent's.

The methods whose names begin with `a` are for asyncio. They need a running loop, begin at once, and give an
`asyncio.Future`: `await` it, or give it to `asyncio.gather` or `asyncio.wait_for` (`asyncio.create_task` takes
coroutines only). Cancelling it, or the task that awaits it, ends the work.

Rust's log lines reach Python's `logging` under the names `millstream` and `millstream.kafka`, `millstream.source` and
so on. They are handed over by the calls themselves; while something is awaited, every 100 ms. Nothing is written to
standard output or standard error.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Literal, TypedDict, final, overload

from typing_extensions import Self

from millstream.reports import ProduceReport, Rejection

__all__ = [
    "AsyncPageIterator",
    "AvroDeserializer",
    "AvroSerializer",
    "HttpSource",
    "JSONSerializer",
    "PageIterator",
    "PageNumberPaginator",
    "Producer",
    "RateLimit",
    "Records",
    "RecordsIterator",
    "Remap",
    "Retry",
    "SchemaRegistryClient",
    "__version__",
    "features",
]

__version__: str

class _Features(TypedDict):
    version: str
    librdkafka: str
    tls: bool
    sasl: list[str]
    oidc: bool
    compression: list[str]
    optimized: bool

def features() -> _Features:
    """What this build can do.

    Returns:
        `version` of this package, `librdkafka` (its version), `tls`, `sasl` (the mechanisms), `oidc`, `compression`
        (the codecs) and `optimized`, which is False for a build that is many times slower.
    """

@final
class RateLimit:
    """The most requests that a source makes, repeated ones included.

    Args:
        per_second: Requests per second, above 0; 0.5 is one every two seconds.
        burst: How many may be made at once after a rest. Default 1: evenly spaced.
    """

    def __new__(cls, per_second: float, *, burst: int = 1) -> Self: ...
    @property
    def per_second(self) -> float: ...
    @property
    def burst(self) -> int: ...

@final
class Retry:
    """When and how often a request is repeated: after timeouts, broken connections, and the statuses 408, 425, 429 and
    500 to 599.

    The wait before a repetition is drawn from 0 to `backoff_base * 2 ** (attempt - 1)`, or is what the server's
    `Retry-After` says, in seconds or as a date. Before each wait the logger `millstream.source` has one WARNING with
    the URL (credentials masked), the cause, the attempt and the wait: at most `max_attempts - 1` for a page.

    Args:
        max_attempts: Requests in all; 1 is no repetition. Default 5.
        backoff_base: Seconds that the first wait is drawn from. Default 0.1.
        backoff_cap: The longest wait of our own choice, in seconds. Default 30.
        retry_after_cap: The longest wait that a server's `Retry-After` is given, in seconds. Default 60.

    Raises:
        ConfigError: `max_attempts` is 0, or a duration is negative, not finite or longer than a year.
    """

    def __new__(
        cls,
        max_attempts: int = 5,
        *,
        backoff_base: float = 0.1,
        backoff_cap: float = 30.0,
        retry_after_cap: float = 60.0,
    ) -> Self: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def backoff_base(self) -> float: ...
    @property
    def backoff_cap(self) -> float: ...
    @property
    def retry_after_cap(self) -> float: ...

@final
class PageNumberPaginator:
    """Asks for page after page by a number in the query, as dlt's paginator of that name does.

    Args:
        base_page: The number of the first page. Default 1.
        page_param: The query parameter that carries the number. Default `page`.
        maximum_page: The last page asked for, itself included. Default None: until a page is empty.
        stop_after_empty_page: Whether a page without records is the end. It is then not given. Default True.

    An API that answers every number with the same records ends in a `FetchError` of kind `paginator`.
    """

    def __new__(
        cls,
        base_page: int = 1,
        *,
        page_param: str = "page",
        maximum_page: int | None = None,
        stop_after_empty_page: bool = True,
    ) -> Self: ...
    @property
    def base_page(self) -> int: ...
    @property
    def page_param(self) -> str: ...
    @property
    def maximum_page(self) -> int | None: ...
    @property
    def stop_after_empty_page(self) -> bool: ...

@final
class HttpSource:
    """An HTTP API as pages of records. Makes no request before the first page is asked for.

    It behaves as users of requests expect: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed, the
    system's certificates are trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), `user:password@` in the URL is basic
    authentication, gzip is unpacked. Unlike requests it has a timeout, a bound on the body, at most 5 redirects, never
    from https to http, and no header but `Accept`, `Accept-Language` and `User-Agent` goes along to another host.

    Args:
        url: An http or https URL.
        params: Added to its query: a dict or a list of pairs. A list as value repeats the parameter, None leaves it
            out.
        headers: Sent with each request. Their values are never printed.
        data_selector: Where in each answer the records are, such as `results` or `data.items`: an array of records, or
            one object. Default: the whole answer.
        paginator: How the next page is asked for. Default: there is only one.
        rate_limit: Default: none.
        retry: Default: `Retry()`.
        timeout: Seconds for one attempt as a whole, to the body's last byte. Default 30.
        connect_timeout: Seconds for name lookup, TCP and TLS. Default 10.
        read_timeout: The longest silence of the server in seconds. Default 10.
        max_body: The most bytes of a page, unpacked. Default 64 MiB.
        verify: Path of a PEM file with the CAs to trust in place of the system's. `False` is refused.
        guard: `"public"` refuses every address that is not public: for URLs that strangers type in. Link-local metadata
            addresses are refused always. Checked when connecting, for each redirect. Behind a proxy a host's name is
            resolved by the proxy and cannot be checked.

    Raises:
        ConfigError: A setting cannot be used, or the CA file cannot be read.
    """

    def __new__(
        cls,
        url: str,
        *,
        params: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        headers: dict[str, str] | None = None,
        data_selector: str | None = None,
        paginator: PageNumberPaginator | None = None,
        rate_limit: RateLimit | None = None,
        retry: Retry | None = None,
        timeout: float = 30.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 10.0,
        max_body: int = 67_108_864,
        verify: bool | str | PathLike[str] | None = None,
        guard: Literal["public"] | None = None,
    ) -> Self: ...
    def pages(self) -> PageIterator:
        """The pages from the first one on; each call begins anew. Iterating over the source does the same.

        The iterator raises `FetchError` with `kind`, `url` (credentials masked), `status`, `attempts` and `retryable`
        when a page cannot be fetched. The next `next()` asks for that page again: none is left out.
        """

    def apages(self) -> AsyncPageIterator:
        """As `pages()`, for `async for`. May be called without a running loop.

        Raises what `pages()` raises, from the iteration.
        """

    def __iter__(self) -> PageIterator: ...

@final
class AsyncPageIterator:
    """One walk through the pages of a source, for an event loop. It belongs to the process that began it.

    Several `anext()` at the same time get their pages one after the other. Cancelling one drops its request, and the
    next asks for that page again. A page that had come by then, or one whose future is let go without a look at it, is
    what the next `anext()` gives: none is left out, and none is given twice. (`asyncio.gather` looks at all results
    before it tells of its own cancellation: pages that it had are gone with it.)
    """

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Future[Records]: ...

@final
class PageIterator:
    """One walk through the pages of a source. It belongs to the process that began it."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Records: ...

@final
class Records:
    """Records that live in Rust: a sequence of rows, which become dicts only where Python looks at them.

    `len`, indexing, slices (which share the rows) and iteration work as for a list. Records never change; each method
    gives new ones. Printing them shows their number and field names, never values.

    What a record holds: dict, list, text, int, float, bool, None, bytes and datetimes with a time zone. Coming in,
    dataclasses, pydantic models and mappings count as dicts, tuples as lists, an Enum as its value; date, time,
    Decimal, UUID and integers beyond 64 bits become text, which a schema turns back. What cannot be represented exactly
    (NaN, a datetime without time zone, a set) is an `EncodeError` with the record's index and path, never rounded.
    """

    @staticmethod
    def from_pylist(rows: Iterable[Any]) -> Records:
        """Takes Python objects in.

        Raises:
            EncodeError: An object cannot be represented; `index` and `path` say which and where.
        """

    def to_pylist(self) -> list[Any]:
        """All records as Python objects.

        Raises:
            EncodeError: A timestamp has nanoseconds, which a datetime has not.
        """

    def select(self, columns: Mapping[str, str] | Iterable[str]) -> Records:
        """Picks fields by path, without a program. A path that leads nowhere gives None.

        Args:
            columns: Name to path, such as `{"first_name": "name.first", "id": "results[0].id"}`, or a list of paths
                that are their own names.

        Raises:
            ConfigError: A path cannot be read.
        """

    def remap(self, remap: Remap) -> Records:
        """Runs a VRL program on every record. What it refuses is in `rejected` of the result.

        A program may leave a record out (`. = []`) or make several of it (`. = [a, b]`).
        """

    def filter(self, condition: str | Callable[[Any], object]) -> Records:
        """Keeps the records for which the condition is true.

        Args:
            condition: A boolean expression in VRL, such as `.age >= 18 && .country == "NO"`; a record on which it fails
                is in `rejected`. Or a Python function of the record's dict, during which
                other threads wait.

        Raises:
            RemapError: The expression does not compile, or is not a boolean.
        """

    def map(self, function: Callable[[Any], Any]) -> Records:
        """Gives what the function makes of each record.

        Slow, as each record becomes a Python object and is taken in again: five fields of a person took 11 us of CPU a
        record, where a VRL program took 6 us and `select` 2 us. Other threads wait meanwhile. What the function raises
        goes on as it is.

        Raises:
            EncodeError: The function returned None, or something that is no record.
        """

    @property
    def rejected(self) -> list[Rejection]:
        """The records that the program of the last `remap` or `filter` refused, in order. A slice has none."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> Records: ...
    def __iter__(self) -> RecordsIterator: ...

@final
class RecordsIterator:
    """Gives records one by one as Python objects."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def __length_hint__(self) -> int: ...

@final
class Remap:
    """A program in VRL, the Vector Remap Language (https://vrl.dev), compiled once.

    The same program runs in the consumer. The same record gives the same rows on any machine at any time: functions
    that read the clock, randomness, network or environment are refused. Added are `uuid_v5(namespace, name)` and
    `reject(code, message)`.

    Args:
        source: The program's text.
        name: Stands in messages. Default `program`.

    Raises:
        RemapError: It does not compile; `details` is the compiler's message with the place marked.
    """

    def __new__(cls, source: str, *, name: str = "program") -> Self: ...
    @staticmethod
    def from_file(path: str | PathLike[str]) -> Remap:
        """Reads the program from a file.

        Raises:
            ConfigError: The file cannot be read.
            RemapError: It does not compile.
        """

@final
class SchemaRegistryClient:
    """A Schema Registry that speaks Confluent's API.

    Schemas are kept by id (at most 1,000). Short hiccups are ridden out with three attempts.

    Args:
        conf: `url`; `basic.auth.user.info` (`user:password`) or `bearer.auth.token`; `ssl.ca.location` (PEM file);
            `timeout` in seconds for one request (default 5).

    Raises:
        ConfigError: A setting is missing, unknown or cannot be used.
    """

    def __new__(cls, conf: dict[str, Any]) -> Self: ...
    def register_schema(self, subject_name: str, schema: Any) -> int:
        """Registers an Avro schema and gives its id; the same schema again gives the same id.

        Args:
            subject_name: Such as `users_created_avro-value`.
            schema: Its text, or an object with `schema_str`, as Confluent's `Schema` is.

        Raises:
            RegistryError: The registry cannot be reached (`retryable`), or refuses.
        """

    def lookup_schema(self, subject_name: str, schema: Any) -> int:
        """The id of a schema that is registered under the subject already. (Confluent's method of that name gives an
        object with the id in it.)

        Raises:
            RegistryError: It is not registered, or the registry cannot be reached (`retryable`).
        """

    def get_subjects(self) -> list[str]:
        """Every subject's name."""

@final
class JSONSerializer:
    """Records to compact JSON in UTF-8, without a schema.

    Timestamps are RFC 3339 with `Z`; decimals and integers beyond 64 bits are strings. Bytes that are not UTF-8 and
    infinities are an `EncodeError`. (Confluent's class of that name takes a JSON Schema.)
    """

    def __new__(cls) -> Self: ...
    def __call__(self, obj: Any, ctx: object = None) -> bytes | None:
        """One object's bytes; None for None."""

@final
class AvroSerializer:
    """Records to Avro behind the registry's frame: a zero byte and the schema's id.

    A missing field takes the schema's default; a field that the schema does not have is an `EncodeError`. Where the
    meaning is exact a value of another type is taken: text for decimal, uuid, date, time and timestamp, an int for a
    double. A decimal with more digits than the schema has, or a timestamp finer than its unit, is refused.

    Args:
        schema_registry_client: Where the schema is registered.
        schema_str: The Avro schema as JSON.
        conf: `auto.register.schemas` (default True): whether the schema is registered under `<topic>-value` at the
            first use, or must be there.

    Raises:
        SchemaError: The schema cannot be read, or is recursive.
        ConfigError: A setting is unknown.
    """

    def __new__(
        cls, schema_registry_client: SchemaRegistryClient, schema_str: str, *, conf: dict[str, Any] | None = None
    ) -> Self: ...
    def __call__(self, obj: Any, ctx: Any) -> bytes | None:
        """One object's bytes; None for None.

        Args:
            obj: A record.
            ctx: The topic's name, or an object with `topic` and `field`, as Confluent's `SerializationContext` is.

        Raises:
            EncodeError: The object does not fit the schema; `path` says where.
            RegistryError: The schema could not be registered or looked up.
        """

@final
class AvroDeserializer:
    """Framed Avro to Python objects, by the writer's schema.

    Decimals, dates, times, local timestamps and UUIDs come as text, timestamps as datetimes in UTC. There is no reader
    schema: what was written is what comes.

    Args:
        schema_registry_client: Where schemas are looked up by id.
    """

    def __new__(cls, schema_registry_client: SchemaRegistryClient) -> Self: ...
    def __call__(self, data: bytes | None, ctx: object = None) -> Any:
        """One record; None for None.

        Raises:
            DecodeError: The bytes are not a frame, or not the schema's record; `code` says what.
            RegistryError: The registry has no such schema, or cannot be reached.
        """

@final
class Producer:
    """A Kafka producer that tells of every record whether it was delivered.

    librdkafka's names pass through. Defaults: `enable.idempotence=true`, `acks=all`, `linger.ms=5`,
    `compression.type=lz4`, `message.timeout.ms=120000` (how long a record is tried for),
    `topic.metadata.propagation.max.ms=10000` (how long an unknown topic is waited for), `partitioner=murmur2_random`
    (the Java client's), and a queue of 100,000 records or 64 MiB. A full queue makes the caller wait.

    As a context manager it flushes on leaving. An exception in the block purges what is queued instead and ends the
    batches that are awaited; notes on the exception say how many records were delivered, not sent, or unknown.

    After a purge, records wait until librdkafka's threads are done with it, as they would be purged too: mostly a
    millisecond, as long as a name lookup where one is under way, and 30 s at most; then they are not sent.

    Args:
        config: librdkafka's properties. `bootstrap.servers` is needed. Callbacks are not taken: outcomes are reported
            by the calls themselves.

    Raises:
        ConfigError: A property is missing, unknown, or would break the promise (`acks=1`).
    """

    def __new__(cls, config: dict[str, Any]) -> Self: ...
    def produce(
        self,
        topic: str,
        value: bytes | str | None = None,
        key: bytes | str | None = None,
        partition: int = -1,
        *,
        timestamp: int = 0,
        headers: Mapping[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]] | None = None,
    ) -> None:
        """Puts one record into the queue. Its outcome is told by `flush()` or on leaving the `with` block.

        Args:
            topic: Its topic.
            value: None is a tombstone.
            key: None lets any partition do.
            partition: -1 leaves the choice to the partitioner.
            timestamp: Milliseconds since 1970; 0 is now.
            headers: In order; names may repeat in a list of pairs.

        Raises:
            ConfigError: The topic's name cannot be one.
            ProduceError: librdkafka did not take it, as it is too large or its partition does not exist: not sent.
        """

    def flush(self, timeout: float | None = None) -> int:
        """Waits until every record given to `produce()` has its outcome.

        Args:
            timeout: Seconds; None or below 0 waits for as long as the records are tried for. NaN is refused.

        Returns:
            0, which is how many are under way, as Confluent's does.

        Raises:
            ProduceError: Records were not delivered: `report` names each, counted from the last flush. Or the timeout
                passed: they are still under way, and the next flush tells about them. Not `retryable` where the brokers
                refuse us (credentials, TLS, a right), which `code` names, and none delivered since.
        """

    def produce_batch(
        self,
        topic: str,
        records: Records | Iterable[Any],
        *,
        key_field: str | None = None,
        value_serializer: JSONSerializer | AvroSerializer | None = None,
    ) -> ProduceReport:
        """Delivers records and returns when Kafka has acknowledged every one.

        Once a record has failed for good, no later record of its partition is put into the queue; those that were in it
        by then may still be delivered, and the report tells. Records that live in Rust are encoded without holding up
        other Python threads.

        Args:
            topic: Their topic.
            records: Records, or any iterable of dicts, dataclasses or pydantic models.
            key_field: Path of the field that is the key: text, bytes or an integer. A record without it is refused.
                Default: no key.
            value_serializer: Default None: the record is text or bytes and is sent as it is.

        Raises:
            ProduceError: Some records were not delivered. `report.not_sent` and `report.unknown` list their indexes;
                of an iterable, what it had not yet given is in neither. `retryable` says whether the same call may
                succeed later: not where the brokers refuse us (credentials, TLS, a right), which `code` names. That is
                told where all of them refuse: once another delivers, it is a timeout again. A token that could not be
                fetched counts as a server that is down.
            EncodeError: A record cannot be encoded or has no key: `index`, `path`. Those before it are delivered, those
                after it are not sent; an iterable is read no further, and `report` lists what was taken from it.
            RegistryError: The schema could not be registered; nothing was sent.
            ConfigError: The topic's name or the path cannot be one.
        """

    def aproduce_batch(
        self,
        topic: str,
        records: Records | Iterable[Any],
        *,
        key_field: str | None = None,
        value_serializer: JSONSerializer | AvroSerializer | None = None,
    ) -> Future[ProduceReport]:
        """As `produce_batch()`, without holding up the event loop while records are sent and acknowledged.

        `Records` are shared with the threads that send them. Any other iterable is read to its end first, in the event
        loop, and held in memory: for many records make them `Records` in another thread.

        Await it before the loop ends: what nobody awaits, nobody hears of. Closing the producer waits for it. At most
        64 batches of a process are sent at a time; the others wait for their turn.

        Cancelling it (`asyncio.wait_for` does) stops the batch within 100 ms, and nobody is told what became of its
        records: some may be delivered. What is queued is purged, and the queue is the whole producer's: other batches
        under way end in a `ProduceError` that names their records, and records given to `produce()` are told about by
        `flush()`. An `aproduce_batch()` after it waits until that is done.

        Args:
            topic: As `produce_batch()`.
            records: As `produce_batch()`.
            key_field: As `produce_batch()`.
            value_serializer: As `produce_batch()`. The registry is asked without holding up the event loop.

        Returns:
            A future of the report.

        Raises:
            ProduceError: As `produce_batch()`, when awaited.
            EncodeError: As `produce_batch()`, when awaited.
            RegistryError: As `produce_batch()`, when awaited.
            ConfigError: As `produce_batch()`, at once.
            RuntimeError: No event loop is running, or the interpreter is ending; nothing is sent. What the iterable
                raises is raised at once too.
            ClosedError: An exception left the `with` block before the batch had its turn: nothing was sent.
        """

    def close(self) -> None:
        """Flushes, waits for batches that are awaited, and ends the connections. Closing again does nothing; any other
        call then raises `ClosedError`.

        Raises:
            ProduceError: As `flush()` does. The producer is closed all the same.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> Literal[False]: ...
    def __len__(self) -> int:
        """How many records of `produce()` are under way."""

    def __bool__(self) -> bool: ...
