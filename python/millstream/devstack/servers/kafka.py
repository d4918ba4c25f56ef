"""Kafka: one node that is broker and controller (KRaft)."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from .. import readiness, versions
from ..errors import StartError
from ..ports import HOST
from ..versions import Release
from .base import Command, Instance, Server, java_command

_LOGGING = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)


class Kafka(Server):
    """A single-node Kafka with nothing created by itself and nothing replicated."""

    name = "kafka"
    usual_ports: ClassVar[Mapping[str, int | None]] = {"client": 9092, "controller": None}
    default_heap = "768m"

    def release(self) -> Release:
        return versions.KAFKA

    def prepare(self, instance: Instance) -> None:
        instance.home.mkdir(parents=True, exist_ok=True)
        properties = _properties_file(instance)
        lines = [f"{key}={property_value(value)}" for key, value in self.properties(instance).items()]
        properties.write_text("\n".join(lines) + "\n", encoding="ascii")
        if not (instance.home / "data" / "meta.properties").exists():
            _format_storage(instance, properties)

    def properties(self, instance: Instance) -> dict[str, str]:
        """The broker's configuration; the instance's own settings win."""
        client, controller = instance.ports["client"], instance.ports["controller"]
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{client},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{client}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(instance.home / "data"),
            "num.partitions": "6",
            "log.retention.hours": "168",
            # A misspelt topic must be an error, not a new topic.
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "6",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # Nobody to wait for: the first member of a group starts at once.
            "group.initial.rebalance.delay.ms": "0",
            # The default takes 128 MiB of the heap for compacting what here is a few small topics.
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
            **instance.settings,
        }

    def command(self, instance: Instance) -> Command:
        options = ("-XX:MaxGCPauseMillis=20", *_LOGGING, "-cp", _classpath(instance))
        return Command(java_command(instance, options, ("kafka.Kafka", str(_properties_file(instance)))))

    def probe(self, ports: Mapping[str, int], seconds: float) -> None:
        readiness.probe_kafka(ports["client"], seconds)

    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        return {"MILLSTREAM_KAFKA": self.address(ports)}


def _properties_file(instance: Instance) -> Path:
    return instance.home / "server.properties"


def _classpath(instance: Instance) -> str:
    return str(instance.files / "lib" / "*")


def property_value(text: str) -> str:
    """A value as a Java properties file holds it: ASCII, one line, backslashes doubled."""
    utf16 = text.encode("utf-16-be")
    units = (int.from_bytes(utf16[at : at + 2], "big") for at in range(0, len(utf16), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F and unit != 0x5C else f"\\u{unit:04x}" for unit in units)


def new_cluster_id() -> str:
    """A random id in Kafka's notation; never one that begins like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def _format_storage(instance: Instance, properties: Path) -> None:
    tool = (
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", _classpath(instance), "kafka.tools.StorageTool",
        "format", "-t", new_cluster_id(), "-c", str(properties),
    )  # fmt: skip
    done = subprocess.run(
        [instance.java, *tool],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stdout.decode("utf-8", errors="replace").strip().splitlines()
        raise StartError(f"Kafka's storage folder could not be formatted: {said[-1] if said else 'no message'}")
