"""Nothing that was given as a secret is ever shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import millstream as ms

SECRET = "s3cr3t"
REGISTRY = {"url": f"http://ada:{SECRET}@127.0.0.1:1/"}
SASL = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "ada", "sasl.password": SECRET}
KAFKA = {"bootstrap.servers": "127.0.0.1:1"}


def fetch() -> None:
    url = f"http://ada:{SECRET}@127.0.0.1:1/?api_key={SECRET}"
    headers = {"X-Key": SECRET, "Authorization": f"Bearer {SECRET}"}
    source = ms.HttpSource(url, params={"token": SECRET}, headers=headers, retry=ms.Retry(1))
    assert SECRET not in repr(source)
    next(source.pages())


def bad_url() -> None:
    ms.HttpSource(f"htp//ada:{SECRET}@127.0.0.1/")


def bad_header() -> None:
    ms.HttpSource("http://127.0.0.1/", headers={"X-Key": f"{SECRET}\n"})


def ask_registry() -> None:
    client = ms.SchemaRegistryClient(REGISTRY)
    assert SECRET not in repr(client)
    client.get_subjects()


def ask_registry_with_a_token() -> None:
    client = ms.SchemaRegistryClient({"url": "http://127.0.0.1:1/", "bearer.auth.token": SECRET})
    assert SECRET not in repr(client)
    client.get_subjects()


def two_logins() -> None:
    ms.SchemaRegistryClient({**REGISTRY, "bearer.auth.token": SECRET})


def a_token_of_another_type() -> None:
    ms.SchemaRegistryClient({"url": "http://127.0.0.1:1/", "bearer.auth.token": SECRET.encode()})


def bad_user_info() -> None:
    ms.SchemaRegistryClient({"url": "http://127.0.0.1:1/", "basic.auth.user.info": SECRET})


def produce() -> None:
    producer = ms.Producer({**KAFKA, **SASL, "message.timeout.ms": 200})
    assert SECRET not in repr(producer)
    producer.produce_batch("users", [{"a": 1}], value_serializer=ms.JSONSerializer())


def login_without_sasl() -> None:
    ms.Producer({**KAFKA, "sasl.username": "ada", "sasl.password": SECRET})


def unknown_property() -> None:
    ms.Producer({**KAFKA, **SASL, "sasl.passwort": SECRET})


def unusable_property() -> None:
    ms.Producer({**KAFKA, "ssl.key.pem": SECRET, "security.protocol": "SSL"}).produce("users", b"x")


def property_of_another_type() -> None:
    ms.Producer({**KAFKA, "sasl.password": SECRET.encode()})


@pytest.mark.parametrize(
    "call",
    [
        fetch, bad_url, bad_header, ask_registry, ask_registry_with_a_token, two_logins, a_token_of_another_type,
        bad_user_info, produce, login_without_sasl, unknown_property, unusable_property, property_of_another_type,
    ],
    ids=lambda call: call.__name__,
)  # fmt: skip
def test_no_error_and_no_log_line_shows_it(call: Callable[[], None], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ms.MillstreamError) as caught:
        call()
    shown = f"{caught.value!r} {caught.value} {vars(caught.value)} {caplog.text}"
    assert SECRET not in shown
