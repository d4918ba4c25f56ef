"""One tree of exceptions, of the classes that Python programs expect."""

from __future__ import annotations

import pickle

import pytest

import millstream as ms
from millstream import exceptions

PARENTS: dict[type[Exception], tuple[type[Exception], ...]] = {
    ms.ConfigError: (ValueError,),
    ms.ClosedError: (RuntimeError,),
    ms.FetchError: (),
    ms.RegistryError: (),
    ms.SchemaError: (ValueError,),
    ms.DecodeError: (),
    ms.EncodeError: (ValueError,),
    ms.RemapError: (ValueError,),
    ms.ProduceError: (),
    ms.SinkError: (),
}


def test_the_table_above_has_every_class() -> None:
    assert {ms.MillstreamError, *PARENTS} == {getattr(exceptions, name) for name in exceptions.__all__}


@pytest.mark.parametrize("kind", PARENTS)
def test_each_is_a_millstream_error_and_what_python_has_for_it(kind: type[Exception]) -> None:
    parents: list[type[Exception]] = [ms.MillstreamError, *PARENTS[kind]]
    for parent in parents:
        assert issubclass(kind, parent)
    candidates: tuple[type[Exception], ...] = (ValueError, RuntimeError, TypeError, OSError)
    assert {parent for parent in candidates if issubclass(kind, parent)} == set(PARENTS[kind])


def test_an_error_crosses_processes_with_its_facts() -> None:
    url = "http://127.0.0.1:1/"
    with pytest.raises(ms.FetchError) as caught:
        next(ms.HttpSource(url, retry=ms.Retry(1)).pages())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is ms.FetchError
    assert str(copy) == str(caught.value)
    assert (copy.kind, copy.retryable, copy.attempts, copy.url) == ("connect", True, 1, url)


def test_a_report_crosses_processes_too(producer: ms.Producer) -> None:
    with pytest.raises(ms.EncodeError) as caught:
        producer.produce_batch("pickled", [{"a": 1}, {"a": {2}}], value_serializer=ms.JSONSerializer())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.report == caught.value.report
    assert (copy.index, copy.path) == (1, "a")


def test_defaults_are_not_retryable() -> None:
    kinds: list[type[Exception]] = [ms.MillstreamError, *PARENTS]
    for kind in kinds:
        error = kind("text")
        assert isinstance(error, ms.MillstreamError)
        assert (error.retryable, error.index, error.path) == (False, None, None)
