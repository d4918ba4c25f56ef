"""Who knows confluent-kafka, requests or dlt finds the same names in the same order."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest
import requests
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

import millstream as ms


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = inspect.signature(function).parameters
    return {name: parameter for name, parameter in found.items() if name != "self"}


def positional(found: dict[str, inspect.Parameter]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in found.items() if parameter.kind in kinds]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ms.SchemaRegistryClient, SchemaRegistryClient),
        (ms.SchemaRegistryClient.register_schema, SchemaRegistryClient.register_schema),
        (ms.SchemaRegistryClient.lookup_schema, SchemaRegistryClient.lookup_schema),
        (ms.SchemaRegistryClient.get_subjects, SchemaRegistryClient.get_subjects),
        (ms.AvroSerializer, AvroSerializer),
        (ms.AvroDeserializer, AvroDeserializer),
    ],
    ids=lambda function: function.__qualname__,
)
def test_the_registry_classes_are_called_as_confluents(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    our, their = parameters(ours), parameters(theirs)
    assert our.keys() <= their.keys()
    assert positional(our) == positional(their)[: len(positional(our))]


def test_produce_and_flush_are_called_as_confluents() -> None:
    for name in ("produce", "flush"):
        head = str(getattr(confluent_kafka.Producer, name).__doc__).partition("\n")[0]
        theirs = re.findall(r"\w+", head[head.index("(") :])
        our = parameters(getattr(ms.Producer, name))
        assert set(our) <= set(theirs), head
        assert positional(our) == theirs[: len(positional(our))]
    defaults = {name: parameter.default for name, parameter in parameters(ms.Producer.produce).items()}
    assert defaults["partition"] == -1
    assert defaults["timestamp"] == 0
    assert parameters(ms.Producer)["config"].default is inspect.Parameter.empty


def test_a_source_has_the_names_of_requests() -> None:
    our, theirs = parameters(ms.HttpSource), parameters(requests.Session.request)
    shared = {"url", "params", "headers", "timeout", "verify"}
    assert shared <= our.keys()
    assert shared <= theirs.keys()
    assert positional(our) == ["url"]


def test_pages_have_the_names_of_dlt() -> None:
    # dlt is not installed here: these are the names in its documentation of `PageNumberPaginator`.
    dlt = ["base_page", "page", "page_param", "total_path", "maximum_page", "stop_after_empty_page", "has_more_path"]
    our = parameters(ms.PageNumberPaginator)
    assert our.keys() <= set(dlt)
    assert positional(our) == dlt[:1]
    assert "data_selector" in parameters(ms.HttpSource)
    assert "paginator" in parameters(ms.HttpSource)


def test_the_examples_of_the_design_can_be_called() -> None:
    names = {"topic", "records", "key_field", "value_serializer"}
    assert parameters(ms.Producer.produce_batch).keys() == names
    assert positional(parameters(ms.Producer.produce_batch)) == ["topic", "records"]
    assert parameters(ms.Retry).keys() >= {"max_attempts"}
    assert parameters(ms.RateLimit).keys() >= {"per_second"}
