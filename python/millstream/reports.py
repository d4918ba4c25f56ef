"""What calls that work on many records give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ProduceReport", "Rejection"]


@dataclass(frozen=True)
class ProduceReport:
    """What became of the records of one call.

    Delivered, not sent, unknown and unaccounted add up to the records that the call took. An iterable that was cut
    short, because a record failed or the call was interrupted, had more: they were never taken, and are not counted.

    Attributes:
        topic: The topic; empty for `flush()`, whose records may go to several.
        delivered: Records acknowledged by Kafka.
        bytes: Bytes of their keys and values, before compression.
        seconds: Time from the first record to the last outcome.
        offsets: Partition to the first and last offset acknowledged, both included; empty for `flush()`.
        not_sent: Indexes of the records that are certainly not in Kafka.
        unknown: Indexes of the records that may be in Kafka: sent, and their acknowledgement is missing.
        errors: Index to the reason, for the 100 failures with the lowest indexes. A record that was held back because
            one before it failed has no reason of its own.
        unaccounted: Records of which nothing was heard even after the queue was purged: they may be in Kafka, and which
            they are is not known. In practice 0.
    """

    topic: str
    delivered: int
    bytes: int
    seconds: float
    offsets: dict[int, tuple[int, int]]
    not_sent: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    errors: dict[int, str] = field(default_factory=dict)
    unaccounted: int = 0

    def __repr__(self) -> str:
        """One line, however long the lists are."""
        parts = [f"{self.delivered} delivered"]
        if self.not_sent:
            parts.append(f"{len(self.not_sent)} not sent")
        if self.unknown:
            parts.append(f"{len(self.unknown)} unknown")
        if self.unaccounted:
            parts.append(f"{self.unaccounted} unaccounted")
        topic = f" to {self.topic}" if self.topic else ""
        return f"<ProduceReport{topic}: {', '.join(parts)}, {self.bytes} bytes in {self.seconds:.3f} s>"


@dataclass(frozen=True)
class Rejection:
    """A record that a VRL program refused.

    Attributes:
        index: Its index among the records the program was given.
        code: `validation:<code>` of `reject(code, message)`, `aborted`, or `program_error` for a runtime error.
        message: The reason in words.
        record: The record as it was before the program.
    """

    index: int
    code: str
    message: str
    record: Any
