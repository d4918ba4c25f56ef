"""An Airflow Connection becomes the configuration of a client.

The forms are those of Airflow's own providers: a Kafka connection holds librdkafka's properties in its extra,
an HTTP connection an address in its host.
"""

from __future__ import annotations

import json
from typing import Any, Protocol, cast
from urllib.parse import quote, urlsplit, urlunsplit

from millstream.exceptions import ConfigError


class Connection(Protocol):
    """The fields of an Airflow Connection that are read here."""

    conn_id: str
    host: str | None
    schema: str | None
    login: str | None
    password: str | None
    port: int | None
    extra: str | None


def http_url(conn_id: str) -> str:
    """The URL of an HTTP connection, its login and password included as basic authentication.

    The host may be a whole URL with a path; else the schema (default `http`), the host and the port make one.

    Raises:
        ConfigError: The connection is missing or names no host.
    """
    return http_url_of(_connection(conn_id))


def kafka_config(conn_id: str) -> dict[str, str]:
    """librdkafka's properties from a Kafka connection.

    The extra is a JSON object of properties. `bootstrap.servers` may be given by host and port instead,
    `sasl.username` and `sasl.password` by login and password; the extra wins.

    Raises:
        ConfigError: The connection is missing, its extra is not a JSON object, or it names no broker.
    """
    return kafka_config_of(_connection(conn_id))


def registry_config(conn_id: str) -> dict[str, str]:
    """The configuration of a `SchemaRegistryClient` from an HTTP connection.

    Raises:
        ConfigError: The connection is missing, its extra is not a JSON object, or it names no host.
    """
    return registry_config_of(_connection(conn_id))


def http_url_of(connection: Connection) -> str:
    """See `http_url`."""
    address = _address(connection)
    if not connection.login:
        return address
    user = quote(connection.login, safe="")
    if connection.password:
        user += ":" + quote(connection.password, safe="")
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


def kafka_config_of(connection: Connection) -> dict[str, str]:
    """See `kafka_config`."""
    config = _extra(connection)
    if connection.host:
        port = f":{connection.port}" if connection.port else ""
        config.setdefault("bootstrap.servers", connection.host + port)
    if connection.login:
        config.setdefault("sasl.username", connection.login)
    if connection.password:
        config.setdefault("sasl.password", connection.password)
    if not config.get("bootstrap.servers"):
        raise ConfigError(
            f"connection {connection.conn_id} names no broker: set bootstrap.servers in its extra, or its host and port"
        )
    return config


def registry_config_of(connection: Connection) -> dict[str, str]:
    """See `registry_config`."""
    config = _extra(connection)
    config["url"] = _address(connection)
    if connection.login:
        config.setdefault("basic.auth.user.info", f"{connection.login}:{connection.password or ''}")
    return config


def _connection(conn_id: str) -> Connection:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return cast(Connection, BaseHook.get_connection(conn_id))
    except AirflowNotFoundException as missing:
        raise ConfigError(
            f"connection {conn_id} is not defined: add it in Airflow under Admin, Connections, "
            f"or set AIRFLOW_CONN_{conn_id.upper()}"
        ) from missing


def _extra(connection: Connection) -> dict[str, str]:
    try:
        extra = json.loads(connection.extra) if connection.extra else {}
    except json.JSONDecodeError as error:
        # The text itself may hold a secret, so only the position is told.
        raise ConfigError(
            f"the extra of connection {connection.conn_id} is not JSON (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(extra, dict):
        raise ConfigError(f"the extra of connection {connection.conn_id} must be a JSON object of properties")
    # Airflow masks the secrets of an extra in the task's log once it has been read this way.
    _ = getattr(connection, "extra_dejson", None)
    return {str(name): _property(connection, str(name), value) for name, value in extra.items()}


def _property(connection: Connection, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigError(f"property {name} of connection {connection.conn_id} must be text, a number, true or false")


def _address(connection: Connection) -> str:
    if not connection.host:
        raise ConfigError(
            f"connection {connection.conn_id} names no host: set it to the address, such as https://host/"
        )
    host = connection.host if "://" in connection.host else f"{connection.schema or 'http'}://{connection.host}"
    parts = urlsplit(host)
    try:
        given = parts.port
    except ValueError:
        raise ConfigError(f"the host of connection {connection.conn_id} has a port that is no number") from None
    if connection.port and given is None:
        parts = parts._replace(netloc=f"{parts.netloc}:{connection.port}")
    return urlunsplit(parts)
