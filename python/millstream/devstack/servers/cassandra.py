"""Cassandra: one node, one token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from .. import readiness, versions
from ..errors import StartError
from ..ports import HOST
from ..versions import Release
from .base import Command, Instance, Server, java_command

# The modules Cassandra 5 reaches into on Java 17; named in its own conf/jvm17-server.options.
_EXPORTS = (
    "java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.sql/java.sql", "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file", "jdk.attach/sun.tools.attach",
)  # fmt: skip
_OPENS = (
    "java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect",
    "java.base/java.util", "java.base/jdk.internal.loader", "java.base/jdk.internal.math",
    "java.base/jdk.internal.module", "java.base/jdk.internal.ref", "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar", "java.base/sun.nio.ch", "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
)  # fmt: skip

_LOGBACK = """<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{yyyy-MM-dd HH:mm:ss.SSS} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"""


class Cassandra(Server):
    """A single-node Cassandra that takes any login."""

    name = "cassandra"
    usual_ports: ClassVar[Mapping[str, int | None]] = {"client": 9042, "storage": None}
    default_heap = "1536m"

    def release(self) -> Release:
        return versions.CASSANDRA

    def prepare(self, instance: Instance) -> None:
        instance.home.mkdir(parents=True, exist_ok=True)
        # JSON is YAML: no quoting rules of our own.
        (instance.home / "cassandra.yaml").write_text(
            json.dumps(self.configuration(instance), indent=2) + "\n", encoding="utf-8"
        )
        (instance.home / "logback.xml").write_text(_LOGBACK, encoding="utf-8")

    def configuration(self, instance: Instance) -> dict[str, object]:
        """cassandra.yaml; the instance's own settings win."""
        storage = instance.ports["storage"]
        seeds = {
            "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
            "parameters": [{"seeds": f"{HOST}:{storage}"}],
        }
        ours: dict[str, object] = {
            "cluster_name": "millstream",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [seeds],
            "listen_address": HOST,
            "rpc_address": HOST,
            "native_transport_port": instance.ports["client"],
            "storage_port": storage,
            "commitlog_sync": "periodic",
            "commitlog_sync_period": "10000ms",
            # Nobody restores a development table from a snapshot; they would only fill the folder.
            "auto_snapshot": False,
            "data_file_directories": [str(instance.home / "data")],
            "commitlog_directory": str(instance.home / "commitlog"),
            "hints_directory": str(instance.home / "hints"),
            "saved_caches_directory": str(instance.home / "saved_caches"),
            "cdc_raw_directory": str(instance.home / "cdc_raw"),
        }
        return {**ours, **{key: _yaml_scalar(value) for key, value in instance.settings.items()}}

    def command(self, instance: Instance) -> Command:
        library = instance.files / "lib"
        agent = next(iter(sorted(library.glob("jamm-*.jar"))), None)
        if agent is None:
            raise StartError(f"jamm is missing in {library}: delete {instance.files} and start again")
        options = (
            f"-javaagent:{agent}",
            "-XX:MaxDirectMemorySize=512m",
            "-XX:MaxGCPauseMillis=300",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            # Else it closes its output and the log stays empty.
            "-Dcassandra-foreground=yes",
            f"-Dcassandra.config={(instance.home / 'cassandra.yaml').as_uri()}",
            f"-Dcassandra.storagedir={instance.home}",
            f"-Dcassandra.logdir={instance.home}",
            f"-Dlogback.configurationFile={(instance.home / 'logback.xml').as_uri()}",
            # No other node to hear from: do not wait for one.
            "-Dcassandra.ring_delay_ms=100",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.superuser_setup_delay_ms=0",
            *(part for module in _EXPORTS for part in ("--add-exports", f"{module}=ALL-UNNAMED")),
            *(part for module in _OPENS for part in ("--add-opens", f"{module}=ALL-UNNAMED")),
            "-cp", f"{library}/*",
        )  # fmt: skip
        return Command(java_command(instance, options, ("org.apache.cassandra.service.CassandraDaemon",)))

    def probe(self, ports: Mapping[str, int], seconds: float) -> None:
        readiness.probe_cassandra(ports["client"], seconds)

    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        return {"MILLSTREAM_CASSANDRA": self.address(ports)}


def _yaml_scalar(text: str) -> object:
    """A setting given as text, in the type YAML would read it as."""
    try:
        return json.loads(text)
    except ValueError:
        return text
