"""What was sent, and where Kafka put it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .workload import Fate, Headers, Planned


@dataclass(frozen=True, slots=True)
class Entry:
    """One record in the log. The bytes are kept of those alone that must come out again as dead letters."""

    partition: int
    offset: int
    timestamp_ms: int
    fate: Fate
    kind: str
    user: int
    version: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()


class Ledger:
    """Entries by partition and offset; the delivery reports of one producer fill it while others read."""

    def __init__(self, topic: str, partitions: int) -> None:
        self.topic = topic
        self._partitions: list[dict[int, Entry]] = [{} for _ in range(partitions)]
        # Reports of one partition may come out of order; the records below this offset are all here.
        self._known = [0] * partitions
        self._changed = threading.Condition()

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self._partitions)

    def add(self, entry: Entry) -> None:
        """Note a delivered record."""
        with self._changed:
            entries = self._partitions[entry.partition]
            entries[entry.offset] = entry
            while self._known[entry.partition] in entries:
                self._known[entry.partition] += 1
            self._changed.notify_all()

    def delivered(self, planned: Planned, partition: int, offset: int, timestamp_ms: int) -> None:
        """Note where a planned record went."""
        keep = planned.fate is Fate.DEAD
        self.add(
            Entry(
                partition,
                offset,
                timestamp_ms,
                planned.fate,
                planned.kind,
                planned.user,
                planned.version,
                planned.key if keep else None,
                planned.value if keep else None,
                planned.headers if keep else (),
            )
        )

    def below(self, partition: int, offset: int) -> list[Entry]:
        """The records of a partition below this offset, in offset order; KeyError when one of them is not known."""
        entries = self._partitions[partition]
        return [entries[at] for at in range(offset)]

    def end(self, partition: int) -> int:
        """One past the last record of a partition that is known without a hole before it."""
        return self._known[partition]

    def total(self) -> int:
        """How many records are known without a hole before them."""
        return sum(self._known)

    def wait_total(self, records: int, timeout: float) -> bool:
        """Wait until so many records are known; a consumer may see a record before its report came."""
        with self._changed:
            return self._changed.wait_for(lambda: self.total() >= records, timeout)
