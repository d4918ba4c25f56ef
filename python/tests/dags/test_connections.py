"""A Connection becomes the configuration of a client, or an error that says what to set."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from millstream.airflow.connections import http_url_of, kafka_config_of, registry_config_of
from millstream.exceptions import ConfigError


@dataclass
class Connection:
    """What Airflow hands to a task, without Airflow."""

    conn_id: str = "under_test"
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    extra: str | None = None


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (Connection(host="https://randomuser.me/api/"), "https://randomuser.me/api/"),
        (Connection(host="localhost", port=5005), "http://localhost:5005"),
        (Connection(host="api.example.com", schema="https"), "https://api.example.com"),
        (Connection(host="http://localhost/api/", port=5005), "http://localhost:5005/api/"),
        (Connection(host="http://localhost:1/api/", port=5005), "http://localhost:1/api/"),
        (Connection(host="http://h/", login="me", password="p@ss/wörd%"), "http://me:p%40ss%2Fw%C3%B6rd%25@h/"),
        (Connection(host="http://h/", login="token"), "http://token@h/"),
        (Connection(host="http://[::1]/api", port=81), "http://[::1]:81/api"),
    ],
)
def test_http_url(connection: Connection, url: str) -> None:
    assert http_url_of(connection) == url


@pytest.mark.parametrize("connection", [Connection(), Connection(host="http://h:port/")])
def test_http_url_refused(connection: Connection) -> None:
    with pytest.raises(ConfigError, match="connection under_test"):
        http_url_of(connection)


@pytest.mark.parametrize(
    ("connection", "config"),
    [
        (Connection(extra='{"bootstrap.servers": "k:9092"}'), {"bootstrap.servers": "k:9092"}),
        (Connection(host="k", port=9092), {"bootstrap.servers": "k:9092"}),
        (Connection(host="a:1,b:2"), {"bootstrap.servers": "a:1,b:2"}),
        (
            Connection(host="other", extra='{"bootstrap.servers": "k:1", "linger.ms": 20, "enable.idempotence": true}'),
            {"bootstrap.servers": "k:1", "linger.ms": "20", "enable.idempotence": "true"},
        ),
        (
            Connection(host="k:1", login="user", password="secret", extra='{"sasl.username": "other"}'),
            {"bootstrap.servers": "k:1", "sasl.username": "other", "sasl.password": "secret"},
        ),
    ],
)
def test_kafka_config(connection: Connection, config: dict[str, str]) -> None:
    assert kafka_config_of(connection) == config


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (None, "names no broker"),
        ('{"sasl.password": "hunter2"', "not JSON"),
        ('["hunter2"]', "JSON object"),
        ('{"bootstrap.servers": ["hunter2"]}', "bootstrap.servers"),
        ('{"bootstrap.servers": ""}', "names no broker"),
    ],
)
def test_kafka_config_refused_without_showing_the_extra(extra: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refusal:
        kafka_config_of(Connection(extra=extra))
    assert "hunter2" not in str(refusal.value)
    assert "under_test" in str(refusal.value)
    assert not refusal.value.retryable


def test_registry_config() -> None:
    connection = Connection(
        host="http://r:8081/apis/ccompat/v7", login="me", password="pw", extra='{"ssl.ca.location": "/ca.pem"}'
    )
    assert registry_config_of(connection) == {
        "url": "http://r:8081/apis/ccompat/v7",
        "basic.auth.user.info": "me:pw",
        "ssl.ca.location": "/ca.pem",
    }
