"""How much memory the containers use, looked at all along."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable

from .engine import Engine, EngineError

SECONDS = 5.0
_SIZE = re.compile(r"([\d.]+)([KMG]?i?B)")
_UNITS = {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class MemoryWatch:
    """Asks `docker stats` every five seconds between `start` and `stop`; keeps the most it saw of each service."""

    def __init__(self, engine: Engine, service_of: Callable[[str], str]) -> None:
        self._engine = engine
        self._service_of = service_of
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.most: dict[str, float] = {}
        self.limit: dict[str, float] = {}
        self.looks = 0

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._over.set()
        self._thread.join(60)

    def now(self) -> dict[str, float]:
        """Bytes of each service's largest container."""
        found: dict[str, float] = {}
        prefix = f"{self._engine.project}-"
        for line in self._engine.run("stats", "--no-stream", "--format", "{{json .}}").splitlines():
            entry = json.loads(line)
            if not entry["Name"].startswith(prefix):
                continue
            service = self._service_of(entry["Name"])
            used, limit = (parse_size(part) for part in entry["MemUsage"].split("/"))
            found[service] = max(found.get(service, 0.0), used)
            self.limit[service] = limit
        return found

    def _run(self) -> None:
        while not self._over.wait(SECONDS):
            try:
                found = self.now()
            except (EngineError, ValueError):
                # A container that ends while it is looked at; the next look tells.
                continue
            self.looks += 1
            for service, used in found.items():
                self.most[service] = max(self.most.get(service, 0.0), used)


def parse_size(text: str) -> float:
    """Bytes from Docker's notation, such as `183.8MiB`; 0 for a container that has just ended."""
    found = _SIZE.search(text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
