"""A broker that refuses us is no timeout: trying again ends the same, so nothing may be told to try again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import millstream as ms

from . import brokers, processes

PASSWORD = "a-password-that-is-wrong"
LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "somebody",
    "sasl.password": PASSWORD,
}
Broker = Callable[[], AbstractContextManager[str]]
REFUSALS: dict[str, tuple[Broker, dict[str, Any], str, str]] = {
    "password": (brokers.refusing_broker, LOGIN, "Authentication", "sasl.password"),
    "TLS": (brokers.plaintext_broker, {"security.protocol": "SSL"}, "SSL", "security.protocol"),
}


@pytest.fixture(params=REFUSALS)
def refused(request: pytest.FixtureRequest) -> Any:
    broker, config, code, advice = REFUSALS[request.param]
    with broker() as address:
        yield {"bootstrap.servers": address, "message.timeout.ms": 1_000, **config}, code, advice


def test_a_batch_says_what_is_refused(refused: Any) -> None:
    config, code, advice = refused
    with pytest.raises(ms.ProduceError) as caught:
        ms.Producer(config).produce_batch("users", [{"a": 1}, {"a": 2}], value_serializer=ms.JSONSerializer())
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert advice in str(caught.value)
    assert config["bootstrap.servers"] in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.report is not None
    assert caught.value.report.not_sent == (0, 1)


def test_flush_says_what_is_refused(refused: Any) -> None:
    config, code, advice = refused
    producer = ms.Producer(config)
    producer.produce("users", b"x")
    with pytest.raises(ms.ProduceError, match="not sent") as caught:
        producer.flush()
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert advice in str(caught.value)


def test_a_flush_whose_time_is_over_says_what_is_refused(refused: Any) -> None:
    config, code, advice = refused
    producer = ms.Producer({**config, "message.timeout.ms": 60_000})
    producer.produce("users", b"x")

    def refused_meanwhile() -> bool:
        with pytest.raises(ms.ProduceError, match="under way") as caught:
            producer.flush(0.05)
        assert caught.value.retryable == (caught.value.code == "")
        if caught.value.retryable:
            return False
        assert caught.value.code == code
        assert advice in str(caught.value)
        return True

    processes.wait_for("the refusal", refused_meanwhile)
    with pytest.raises(KeyError), producer:
        raise KeyError
