"""What belongs to one run: the seed that makes it repeatable, and the report that it leaves behind."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from millstream.exceptions import RemapError

SEED_CHARACTERS = 16

log = logging.getLogger(__name__)


def run_seed(dag_id: str, run_id: str) -> str:
    """A seed for a source that takes one, the same for every try of the same run.

    16 hexadecimal digits of SHA-256 over both ids: a retried or cleared run fetches the same records
    and writes the same keys.
    """
    # The length keeps ("a", "b/c") and ("a/b", "c") apart.
    material = f"{len(dag_id)}/{dag_id}/{run_id}".encode()
    return hashlib.sha256(material).hexdigest()[:SEED_CHARACTERS]


class Delivery(Protocol):
    """The part of a produce report that is added up here."""

    @property
    def delivered(self) -> int: ...
    @property
    def offsets(self) -> Mapping[int, tuple[int, int]]: ...


class Rejection(Protocol):
    """The part of a rejected record that is added up here."""

    @property
    def code(self) -> str: ...


class RunReport:
    """Counts and offset ranges of a run: what a task returns in place of its records."""

    def __init__(self, topic: str, seed: str) -> None:
        self.topic = topic
        self._seed = seed
        self._fetched = 0
        self._delivered = 0
        self._offsets: dict[int, tuple[int, int]] = {}
        self._rejected: Counter[str] = Counter()

    def add(self, fetched: int, rejected: Sequence[Rejection], delivery: Delivery) -> None:
        """Adds one page: how many records came, which the program rejected, what Kafka acknowledged."""
        self._fetched += fetched
        self._delivered += delivery.delivered
        self._rejected.update(rejection.code for rejection in rejected)
        for partition, (first, last) in delivery.offsets.items():
            low, high = self._offsets.get(partition, (first, last))
            self._offsets[partition] = (min(low, first), max(high, last))

    def finish(self) -> dict[str, Any]:
        """The report as JSON values, said in one line of the task's log too; `offsets` is partition -> [first, last].

        Raises:
            RemapError: Records were rejected. The others are delivered, but a task is never green
                over a record that is nowhere.
        """
        if self._rejected:
            codes = ", ".join(f"{code} ({count})" for code, count in self._rejected.most_common())
            raise RemapError(
                f"{self._rejected.total()} of {self._fetched} records were rejected: {codes}; "
                f"the other {self._delivered} are in {self.topic}"
            )
        log.info(
            "%s: %d of %d fetched records delivered, offsets %s",
            self.topic,
            self._delivered,
            self._fetched,
            ", ".join(f"{number}: {first}..{last}" for number, (first, last) in sorted(self._offsets.items()))
            or "none",
        )
        return {
            "topic": self.topic,
            "seed": self._seed,
            "fetched": self._fetched,
            "delivered": self._delivered,
            "offsets": {str(partition): list(ends) for partition, ends in sorted(self._offsets.items())},
        }
