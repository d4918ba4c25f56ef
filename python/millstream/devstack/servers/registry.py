"""The schema registry: Apicurio, which speaks Confluent's API, with its store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .. import readiness, versions
from ..errors import StartError
from ..ports import HOST
from ..versions import Release
from . import postgres
from .base import Command, Instance, Server, java_command

API_PATH = "/apis/ccompat/v7"


class Registry(Server):
    """A schema registry whose ids survive a restart; in memory they would begin at 1 again."""

    name = "registry"
    usual_ports: ClassVar[Mapping[str, int | None]] = {"client": 8081}
    depends_on = ("postgres",)
    default_heap = "384m"
    stop_grace = 15.0

    def release(self) -> Release:
        return versions.REGISTRY

    def prepare(self, instance: Instance) -> None:
        instance.home.mkdir(parents=True, exist_ok=True)

    def command(self, instance: Instance) -> Command:
        runner = next(iter(sorted(instance.files.glob("*-runner.jar"))), None)
        if runner is None:
            raise StartError(f"the registry's program is missing: delete {instance.files} and start again")
        store = f"{HOST}:{instance.peers['postgres']['client']}/{postgres.REGISTRY_DATABASE}"
        environment = {
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(instance.ports["client"]),
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "postgresql",
            "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://{store}",
            "APICURIO_DATASOURCE_USERNAME": postgres.USER,
            "APICURIO_DATASOURCE_PASSWORD": postgres.PASSWORD,
            **instance.settings,
        }
        return Command(java_command(instance, (), ("-jar", str(runner))), environment)

    def probe(self, ports: Mapping[str, int], seconds: float) -> None:
        readiness.probe_http(ports["client"], f"{API_PATH}/subjects", seconds)

    def address(self, ports: Mapping[str, int]) -> str:
        return f"http://{HOST}:{ports['client']}{API_PATH}"

    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        return {"MILLSTREAM_REGISTRY": self.address(ports)}
