"""What can go wrong, as one tree.

`retryable` is the question an orchestrator asks: may the same call succeed later, without anybody changing anything?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.reports import ProduceReport

__all__ = [
    "ClosedError",
    "ConfigError",
    "DecodeError",
    "EncodeError",
    "FetchError",
    "MillstreamError",
    "ProduceError",
    "RegistryError",
    "RemapError",
    "SchemaError",
    "SinkError",
]


class MillstreamError(Exception):
    """Base of every error of this package.

    Attributes:
        retryable: Whether the same call may succeed later.
        index: Which record failed, counted from 0 in the call; None where no single one did.
        path: Where in that record, such as `name.first`; None where that says nothing.
    """

    retryable: bool = False
    index: int | None = None
    path: str | None = None

    def __init__(self, message: str, **facts: Any) -> None:
        """Keeps the message and sets each fact as an attribute."""
        super().__init__(message)
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles with every fact: Airflow and multiprocessing carry exceptions between processes."""
        return (type(self), self.args, self.__dict__)


class ConfigError(MillstreamError, ValueError):
    """A setting, a path or a topic name cannot be used. Never retryable."""


class ClosedError(MillstreamError, RuntimeError):
    """A closed object was used."""


class FetchError(MillstreamError):
    """A page could not be fetched.

    Attributes:
        kind: A stable name of what went wrong, such as `status`, `timeout` or `not_json`.
        url: The URL, credentials masked.
        status: The HTTP status of the last answer; None when there was no whole one.
        attempts: How often it was asked for.
    """

    kind: str = ""
    url: str = ""
    status: int | None = None
    attempts: int = 0


class RegistryError(MillstreamError):
    """The Schema Registry gave no usable schema, or took none."""


class SchemaError(MillstreamError, ValueError):
    """A schema cannot be used.

    Attributes:
        code: A stable name, such as `schema_unsupported` or `schema_recursive`.
    """

    code: str = ""


class DecodeError(MillstreamError):
    """Bytes are not the record they should be.

    Attributes:
        code: A stable name, such as `bad_magic` or `avro_truncated`: the consumer's dead letters carry the same.
    """

    code: str = ""


class EncodeError(MillstreamError, ValueError):
    """A record cannot be represented in the asked format; `index` and `path` say which and where.

    Attributes:
        report: What became of the batch; None outside `produce_batch`.
    """

    report: ProduceReport | None = None


class RemapError(MillstreamError, ValueError):
    """A VRL program does not compile, or what it rejected must not be passed over.

    Attributes:
        details: The compiler's own message of several lines, with the place marked.
    """

    details: str = ""


class ProduceError(MillstreamError):
    """Records were not delivered to Kafka; the report says which of those that the call took.

    Attributes:
        code: Kafka's name of the first failure, such as `MessageTimedOut`, or `Authentication` where records timed out
            because the brokers refused us; empty when something else ended the call.
        report: The outcome of every record; None for the error of a single record.
    """

    code: str = ""
    report: ProduceReport | None = None


class SinkError(MillstreamError):
    """Rows were not written to Cassandra."""
