"""Millstream: fetch, map, encode, produce and write records from Python, with the work done in Rust.

Nothing is loaded by the import alone: the compiled core comes with the first name that needs it, so that parsing a DAG
file or starting `millstream.devstack` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream._core import (
        AvroDeserializer,
        AvroSerializer,
        HttpSource,
        JSONSerializer,
        PageNumberPaginator,
        Producer,
        RateLimit,
        Records,
        Remap,
        Retry,
        SchemaRegistryClient,
        __version__,
        features,
    )
    from millstream.exceptions import (
        ClosedError,
        ConfigError,
        DecodeError,
        EncodeError,
        FetchError,
        MillstreamError,
        ProduceError,
        RegistryError,
        RemapError,
        SchemaError,
        SinkError,
    )
    from millstream.reports import ProduceReport, Rejection

_MODULES = {
    "AvroDeserializer": "_core",
    "AvroSerializer": "_core",
    "ClosedError": "exceptions",
    "ConfigError": "exceptions",
    "DecodeError": "exceptions",
    "EncodeError": "exceptions",
    "FetchError": "exceptions",
    "HttpSource": "_core",
    "JSONSerializer": "_core",
    "MillstreamError": "exceptions",
    "PageNumberPaginator": "_core",
    "ProduceError": "exceptions",
    "ProduceReport": "reports",
    "Producer": "_core",
    "RateLimit": "_core",
    "Records": "_core",
    "RegistryError": "exceptions",
    "Rejection": "reports",
    "Remap": "_core",
    "RemapError": "exceptions",
    "Retry": "_core",
    "SchemaError": "exceptions",
    "SchemaRegistryClient": "_core",
    "SinkError": "exceptions",
    "__version__": "_core",
    "features": "_core",
}

__all__ = [
    "AvroDeserializer",
    "AvroSerializer",
    "ClosedError",
    "ConfigError",
    "DecodeError",
    "EncodeError",
    "FetchError",
    "HttpSource",
    "JSONSerializer",
    "MillstreamError",
    "PageNumberPaginator",
    "ProduceError",
    "ProduceReport",
    "Producer",
    "RateLimit",
    "Records",
    "RegistryError",
    "Rejection",
    "Remap",
    "RemapError",
    "Retry",
    "SchemaError",
    "SchemaRegistryClient",
    "SinkError",
    "__version__",
    "features",
]


def __getattr__(name: str) -> Any:
    """Loads the module that holds the name, once."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
